"""The text of a record, from a file of any size, line end and encoding, when it is still the file that was read."""

import hashlib
import random
from pathlib import Path

import pytest

from loader.explain.story import Span, read_spans
from loader.landing.source import CHUNK_BYTES

LINES = [f"{number}," + "x" * (number % 97) for number in range(1, 60_001)]


def read(path: Path, *spans: Span, encoding: str | None = None) -> list[str]:
    source = read_spans(path, hashlib.sha256(path.read_bytes()).hexdigest(), encoding, set(spans))
    assert source.refusal is None
    return [source.texts[span] for span in spans]


@pytest.mark.parametrize(
    ("end", "encoding", "named"),
    [("\n", "utf-8", None), ("\r\n", "utf-8-sig", None), ("\n", "utf-16", None), ("\n", "cp1252", "cp1252")],
)
def test_every_span_is_what_splitting_the_text_gives(tmp_path: Path, end: str, encoding: str, named: str | None):
    path, lines = tmp_path / "a.csv", ["é", *LINES]
    path.write_bytes(end.join(lines).encode(encoding))
    assert path.stat().st_size > 2 * CHUNK_BYTES
    draw = random.Random(encoding)  # noqa: S311
    firsts = [1, len(lines), *(draw.randint(1, len(lines)) for _ in range(50))]
    spans = [Span(first, min(first + draw.randint(0, 3), len(lines))) for first in firsts]
    expected = [end.join(lines[span.first - 1 : span.last]) for span in spans]
    assert read(path, *spans, encoding=named) == expected
    assert read(path, Span(len(lines) - 1, None), encoding=named) == [end.join(lines[-2:])]


def test_a_span_over_many_chunks_and_blank_lines_at_its_end(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("h\n" + "\n".join(LINES) + "\n\n\n", encoding="utf-8")
    assert read(path, Span(2, None)) == ["\n".join(LINES)]


@pytest.mark.parametrize(("text", "lines"), [("a\nb\n", 2), ("a\nb", 2), ("a", 1), ("a\n\n", 2), ("", 0)])
def test_the_lines_are_counted(tmp_path: Path, text: str, lines: int):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    assert read_spans(path, hashlib.sha256(text.encode()).hexdigest(), None, set()).lines == lines


def test_a_file_that_tells_nothing_any_more(tmp_path: Path):
    path, span = tmp_path / "a.csv", Span(1, 1)
    assert "is not there any more" in str(read_spans(path, "0a1b", None, {span}).refusal)
    for text in (b"other\n", b"", b"\0", b"PK\x03\x04"):
        path.write_bytes(text)
        source = read_spans(path, "0a1b", None, {span})
        assert source.texts == {}
        assert "0a1b" in str(source.refusal)
        assert str(path) in str(source.refusal)
