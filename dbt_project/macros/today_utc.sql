{#- The API compares dates with today in UTC. A macro, so that a unit test can name its own day. -#}
{% macro today_utc() -%}
    date '{{ run_started_at.strftime("%Y-%m-%d") }}'
{%- endmacro %}
