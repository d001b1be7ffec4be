"""What is refused of a source file before a record of it is looked at."""

import os
import threading
from pathlib import Path

import pytest

from loader.config import load_settings
from loader.dialect import Dialect
from loader.errors import SourceRefused
from loader.source import check_source, open_source
from tests.support import HEADER

MEBIBYTE = 1 << 20
PLAIN = (Dialect(), load_settings().limits)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path):
    path = tmp_path / "growing.csv"
    path.write_bytes(HEADER.encode() + b"\n" + b"x,y,z,a,b,c,d,e\n" * (4 * MEBIBYTE))
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.wait(0.001):
                file.write(b"x,y,z,a,b,c,d,e\n")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(SourceRefused, match="changed while it was read"), open_source(path, *PLAIN):
            pass
    finally:
        stop.set()
        writer.join()


def test_a_file_cut_short_after_it_was_copied_is_read_as_it_was(tmp_path: Path):
    path = tmp_path / "cut.csv"
    content = HEADER.encode() + b"\n" + b"x,y,z,a,b,c,d,e\n" * MEBIBYTE
    path.write_bytes(content)
    with open_source(path, *PLAIN) as source:
        os.truncate(path, 0)
        assert source.data[:] == content


def test_records_may_follow_a_mebibyte_of_blank_lines(tmp_path: Path):
    path = tmp_path / "late.csv"
    path.write_bytes(HEADER.encode() + b"\n" * (2 * MEBIBYTE) + b"x,y,z,a,b,c,d,e\n")
    check_source(path, {"title": True}, *PLAIN)


def test_a_header_alone_is_refused(tmp_path: Path):
    path = tmp_path / "header.csv"
    path.write_bytes(HEADER.encode() + b"\n\n")
    with pytest.raises(SourceRefused, match="and no record"):
        check_source(path, {"title": True}, *PLAIN)
