"""Takes a token out of a text, in the forms in which a server may echo it."""

import base64
import re

HIDDEN = "***"
# What is shorter is no secret, and would take letters out of every word.
_SHORTEST = 8
# A form is known by its beginning; a part of a JWT that stands alone needs more of it to be one.
_KNOWN_BY, _SHORTEST_PART = 12, 16
# After its beginning a form goes on as far as it can, over the line breaks of base64 too.
_RUN = r"[\w%\\&#;+/=.~\x00-]"
_REST = rf"(?:{_RUN}++|\s{{1,4}}+(?={_RUN}{{{_SHORTEST_PART}}}))*"
# Base64 has two alphabets, and JSON may write a backslash before a slash.
_URL_SAFE, _AS_IT_STANDS = str.maketrans("+/", "-_"), {"+": "[+-]", "/": r"\\{0,4}[/_]"}
# Without one of these nothing is escaped.
_SIGNS = ("%", "\\", "&#", "\x00")


class Forms:
    """The forms of one token: itself, its parts, its base64 and its hexadecimal digits, as they stand or escaped.

    Escaped is each character as %XX, as an escape of JSON or as a reference of HTML, or with zero bytes around it, as
    UTF-16 has it. A token that is too short to be a secret has none.
    """

    def __init__(self, token: str) -> None:
        parts = [part for part in token.split(".") if len(part) >= _SHORTEST_PART]
        texts = {text[:_KNOWN_BY] for text in (token, *parts)} if len(token) >= _SHORTEST else set()
        coded = {_base64(token, shift)[:_KNOWN_BY] for shift in range(3)} if texts else set()
        digits = {token.encode().hex()[: 2 * _KNOWN_BY]} if texts else set()
        plain = {*texts, *coded, *(text.translate(_URL_SAFE) for text in coded)}
        self._signs = (*_SIGNS, *plain, *digits, *(text.upper() for text in digits)) if texts else ()
        spelt = ["".join(map(_spelt, text)) for text in (*texts, *coded)]
        self._pattern = re.compile(f"(?:{'|'.join([*spelt, *(f'(?i:{text})' for text in digits)])}){_REST}", re.ASCII)

    def hide(self, text: str) -> str:
        """Return the text without the token. Only a text that may hold it is looked at closely, which is slow."""
        if len(text) < _SHORTEST:
            return text
        for sign in self._signs:
            if sign in text:
                return self._pattern.sub(HIDDEN, text)
        return text


def _base64(token: str, shift: int) -> str:
    """Return what stands in any base64 of a text with the token in it, `shift` bytes after a multiple of three."""
    data = base64.b64encode(b"\0" * shift + token.encode()).decode()
    return data[(8 * shift + 5) // 6 : 8 * (shift + len(token)) // 6]


def _spelt(sign: str) -> str:
    code = ord(sign)
    escaped = rf"%(?:25){{0,2}}{code:02x}|\\{{1,4}}(?:u00|x){code:02x}|&#(?:0{{0,5}}{code}|x0{{0,5}}{code:x});"
    return rf"(?:{_AS_IT_STANDS.get(sign, re.escape(sign))}|(?i:{escaped}))\x00{{0,3}}"
