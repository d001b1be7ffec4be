"""What is refused of a source file before a record of it is looked at."""

import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loader.config import load_settings
from loader.errors import SourceRefused
from loader.landing.dialect import Dialect
from loader.landing.encoding import Recoder
from loader.landing.source import _copy, _identity, check_source, open_source
from tests.support import HEADER

MEBIBYTE = 1 << 20
PLAIN = (Dialect(), load_settings().source)


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


def test_a_file_that_never_stops_growing_is_not_copied_without_end(tmp_path: Path):
    path, limits = tmp_path / "endless.csv", replace(PLAIN[1], max_file_bytes=MEBIBYTE)
    path.write_bytes(HEADER.encode() + b"\n")
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set() and file.tell() < 100 * MEBIBYTE:
                file.write(b"x,y,z,a,b,c,d,e\n" * 4096)

    writer = threading.Thread(target=grow)
    with path.open("rb") as file, tempfile.TemporaryFile() as spool:
        writer.start()
        try:
            while path.stat().st_size < 2 * MEBIBYTE:
                time.sleep(0.001)
            assert _copy(file, limits.max_file_bytes, spool, Recoder(path, None)) is None
            assert spool.tell() <= limits.max_file_bytes
        finally:
            stop.set()
            writer.join()


def test_a_file_written_over_under_its_old_date_is_refused(tmp_path: Path):
    path = tmp_path / "dated.csv"
    path.write_bytes(HEADER.encode() + b"\nx,y,z,a,b,c,d,e\n")
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"x", b"w"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert _identity(before) != _identity(path.stat())


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
