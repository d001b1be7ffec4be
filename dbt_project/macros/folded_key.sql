{#- A key without what the eye does not tell apart: case, white space and invisible characters, the Unicode form, and
    the look-alikes of hyphen, quote and slash. Printable ASCII, which most keys are, takes the short way. -#}
{% macro folded_key(expression) -%}
    case
        when regexp_full_match({{ expression }}, '[!-~]*') then lower({{ expression }})
        else regexp_replace(
            translate(
                lower(nfc_normalize({{ expression }})),
                '‐‑‒–—―−﹘﹣－’‘ʼ´`“”＂⁄∕／＿．０１２３４５６７８９ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ',
                '----------''''''''''"""///_.0123456789abcdefghijklmnopqrstuvwxyz'
            ),
            '[\s\pZ\pC]+', '', 'g'
        )
    end
{%- endmacro %}
