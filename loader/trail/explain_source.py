"""The text of records as it stands in their source file, when that is still the file that was read."""

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

from loader.encoding import Recoder
from loader.errors import SourceRefused
from loader.source import CHUNK_BYTES

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Span:
    """The lines of a file from `first` on, both from 1, up to `last`; None is the end of the file."""

    first: int
    last: int | None


@dataclass(frozen=True)
class SourceText:
    """What a file has: its number of lines and the text of each span, or `refusal`, why it does not tell any more."""

    lines: int
    texts: dict[Span, str]
    refusal: str | None = None


def read_spans(path: Path, sha256: str, encoding: str | None, spans: set[Span]) -> SourceText:
    """Return the text of these spans, without the blank lines at their end.

    The file is read once, to its end: only then is it known to be the one with this SHA-256.
    """
    digest, line, parts, ends_in_break = hashlib.sha256(), 1, dict.fromkeys(spans, b""), True
    try:
        if not path.is_file():
            return SourceText(0, {}, f"the file is not there any more: {path}, SHA-256 {sha256}")
        with path.open("rb") as file:
            chunk = file.read(CHUNK_BYTES)
            recoder = Recoder(path, encoding or ("utf-16" if chunk.startswith(_UTF16_MARKS) else None))
            while chunk:
                digest.update(chunk)
                following = file.read(CHUNK_BYTES)
                text = recoder.recode(chunk, final=not following)
                for span in spans:
                    parts[span] += _part(text, line, span)
                line, chunk = line + text.count(b"\n"), following
                ends_in_break = text.endswith(b"\n")
    except OSError as error:
        return SourceText(0, {}, f"the file cannot be read any more ({error.strerror}): {path}, SHA-256 {sha256}")
    except SourceRefused:
        return SourceText(0, {}, f"the file is not the one that was read any more: {path}, SHA-256 {sha256}")
    if digest.hexdigest() != sha256:
        return SourceText(0, {}, f"the file has changed since: {path}, its SHA-256 was {sha256}")
    texts = {span: part.rstrip(b"\r\n").decode("utf-8", "backslashreplace") for span, part in parts.items()}
    return SourceText(line - ends_in_break, texts)


def _part(text: bytes, line: int, span: Span) -> bytes:
    """Return what a chunk that begins in `line` has of a span."""
    breaks = text.count(b"\n")
    if span.first > line + breaks or (span.last is not None and span.last < line):
        return b""
    start = _offset(text, span.first - line)
    end = len(text) if span.last is None or span.last >= line + breaks else _offset(text, span.last + 1 - line)
    return text[start:end]


def _offset(text: bytes, breaks: int) -> int:
    """Return where the line after so many line breaks begins; 0 for none or fewer."""
    position = 0
    for _ in range(breaks):
        position = text.index(b"\n", position) + 1
    return position
