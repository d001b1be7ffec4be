"""Turns a source's bytes into UTF-8, chunk by chunk, and says which flag reads a file that is not UTF-8."""

import codecs
import re
from contextlib import suppress
from itertools import islice
from mmap import mmap
from pathlib import Path

from loader.console import printable
from loader.errors import SourceRefused
from loader.landing.dialect import ONE_BYTE
from loader.landing.header import WORDS, sign_of

_FOREIGN = {
    # Before UTF-16, whose mark these begin with.
    codecs.BOM_UTF32_LE: ("in UTF-32", "export it as 'CSV UTF-8'"),
    codecs.BOM_UTF32_BE: ("in UTF-32", "export it as 'CSV UTF-8'"),
    codecs.BOM_UTF16_LE: ("in UTF-16", "add --encoding utf-16"),
    codecs.BOM_UTF16_BE: ("in UTF-16", "add --encoding utf-16"),
    b"\x1f\x8b": ("compressed (gzip)", "unpack it"),
    b"BZh": ("compressed (bzip2)", "unpack it"),
    b"\xfd7zXZ": ("compressed (xz)", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("compressed (zstd)", "unpack it"),
    b"PK\x03\x04": ("a zip file that is no xlsx workbook", "unpack it, or export the sheet as 'CSV UTF-8'"),
    b"%PDF": ("a PDF", "export the records as 'CSV UTF-8'"),
    b"PAR1": ("a Parquet file", "export the records as 'CSV UTF-8'"),
}
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_FOREIGN_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*")
# What a refusal shows of a line, in letters before and from its first foreign one: it may be a narrative.
_SHOWN_BEFORE, _SHOWN_AFTER = 15, 45
_SAMPLED_LINES, _MOST_READINGS, _MOST_CHAOS, _LAST_ASCII = 50, 5, 0.1, 127
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


def refuse_foreign(path: Path, beginning: bytes, encoding: str | None) -> None:
    """Raise SourceRefused where the first bytes show no text, or text in an encoding that nobody named."""
    for magic, (name, remedy) in _FOREIGN.items():
        if beginning.startswith(magic) and not (encoding and "encoding" in remedy):
            raise SourceRefused(f"{path}: is {name}, not UTF-8 CSV; {remedy}, then run again")
    if beginning.startswith(codecs.BOM_UTF8) and encoding not in (None, "utf-8"):
        raise SourceRefused(
            f"{path}: begins with the byte order mark of UTF-8; give --encoding utf-8 in place of {encoding}"
        )


def refuse_other_encoding(path: Path, data: bytes | mmap, line: int) -> None:
    """Raise SourceRefused for a file in an encoding of one byte a letter; return when it is UTF-8 with damaged records.

    It is in such an encoding when nothing in it is a character of several bytes in UTF-8, and cp1252 has every byte, or
    another encoding makes plain words of them. Which one is not decided: the refusal shows a line by each.
    `line` is the first one that is not UTF-8.
    """
    if _UTF8_SEQUENCE.search(data):
        return
    lines = [found.group() for found in islice(_FOREIGN_LINE.finditer(data), _SAMPLED_LINES)]
    readings, is_plain = _readings(lines)
    if readings and (is_plain or not _NOT_CP1252.search(data)):
        shown = ", ".join(f"--encoding {name} {text!r}" for name, text in readings)
        raise SourceRefused(
            f"{path}:{line}: is not UTF-8; add the flag that reads this line right: {shown}; "
            "or --encoding utf-8 to have each damaged record reported"
        )


def _readings(lines: list[bytes]) -> tuple[list[tuple[str, str]], bool]:
    """Return encodings with what they make of the first line around its first foreign letter, likeliest first.

    The likeliest is what makes the plainest words of all lines. Of encodings that read the line alike the first one of
    `ONE_BYTE` stands for all. The second value tells that the first one makes plain words.
    """
    # Takes 40 ms to import, and few files need it.
    from charset_normalizer import from_bytes  # noqa: PLC0415

    matches = from_bytes(b"\n".join(lines), cp_isolation=list(ONE_BYTE), threshold=1.0)
    ranks: dict[str, tuple[float, float]] = {}
    for match in matches:
        for name in (match.encoding, *match.could_be_from_charset):
            ranks.setdefault(codecs.lookup(name).name, (round(match.chaos, 2), -round(match.coherence, 2)))
    at = next(number for number, byte in enumerate(lines[0]) if byte > _LAST_ASCII)
    around = lines[0][max(at - _SHOWN_BEFORE, 0) : at + _SHOWN_AFTER].rstrip(b"\r")
    found: dict[str, str] = {}
    # A stable sort: of equally likely ones the commonest comes first.
    for name in sorted((name for name in ONE_BYTE if name in ranks), key=ranks.__getitem__):
        with suppress(UnicodeDecodeError):
            found.setdefault(printable(around.decode(name), ""), name)
    is_plain = any(chaos <= _MOST_CHAOS for chaos, _ in ranks.values())
    return [(name, text) for text, name in found.items()][:_MOST_READINGS], is_plain


class Recoder:
    """Recodes the chunks of one file in their order.

    `is_utf8` turns False at bytes that are not UTF-8, of which `first_bad_line` is the line; they are passed on as they
    are when the encoding is UTF-8. All methods raise SourceRefused for NUL bytes, and for bytes that the named
    encoding does not have.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        self.is_utf8 = True
        self.had_bom = False
        self.first_bad_line = 0
        self.recodes = encoding not in (None, "utf-8")
        self._path = path
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding or "utf-8")()
        # Text in UTF-8 can be decoded as any encoding of single bytes too, to nonsense: it is looked for.
        single_bytes = encoding and not encoding.startswith("utf")
        self._looks_utf8 = codecs.getincrementaldecoder("utf-8")() if single_bytes else None
        self._has_accents = False
        self._line = 1
        self._first = True

    def recode(self, chunk: bytes, *, final: bool = False) -> bytes:
        """Return the chunk as UTF-8, without a byte order mark; with `final`, the rest."""
        if self._first and chunk:
            refuse_foreign(self._path, chunk, self._encoding)
        text = self._decoded(chunk, final=final) if self.recodes else self._checked(chunk, final=final)
        if self._first and text:
            self._first = False
            self.had_bom = text.startswith(codecs.BOM_UTF8)
            text = text.removeprefix(codecs.BOM_UTF8)
        if b"\0" in text:
            line = self._line + text[: text.index(b"\0")].count(b"\n")
            what = "has a NUL byte, so it is not a text file; export it again as UTF-8 CSV"
            if not self.recodes and self._line == 1 and b"\0" in (text[:1], text[1:2]):
                order = "le" if text[1:2] == b"\0" else "be"
                flags = f"--encoding utf-16-{order}"
                if sign := sign_of(chunk.decode(f"utf-16-{order}", errors="replace").encode(errors="replace"), ","):
                    flags += f" --delimiter {WORDS[sign]}"
                what = f"has NUL bytes and reads as UTF-16; add {flags}"
            raise SourceRefused(f"{self._path}:{line}: {what}, then run again")
        self._line += text.count(b"\n")
        return text

    def _decoded(self, chunk: bytes, *, final: bool) -> bytes:
        if self._looks_utf8:
            self._look_for_utf8(self._looks_utf8, chunk, final=final)
        try:
            return self._decoder.decode(chunk, final=final).encode()
        except UnicodeError as error:
            raise SourceRefused(
                f"{self._path}: has bytes that {self._encoding} does not have, after line {self._line}; "
                "name the encoding that it was written in"
            ) from error

    def _look_for_utf8(self, decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool) -> None:
        self._has_accents = self._has_accents or not chunk.isascii()
        try:
            decoder.decode(chunk, final=final)
        except UnicodeDecodeError:
            self._looks_utf8 = None
            return
        if final and self._has_accents:
            raise SourceRefused(f"{self._path}: is UTF-8; give --encoding utf-8 in place of {self._encoding}")

    def _checked(self, chunk: bytes, *, final: bool) -> bytes:
        if self.is_utf8:
            try:
                self._decoder.decode(chunk, final=final)
            except UnicodeDecodeError as error:
                self.is_utf8 = False
                self.first_bad_line = self._line + error.object[: error.start].count(b"\n")
        return chunk
