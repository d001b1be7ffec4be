"""The command's half of landing: the spools and what is told over the pipe, in every way that it can go wrong."""

import os
import subprocess
import sys
from collections.abc import Iterator

import duckdb
import pytest

from loader.errors import SourceRefused
from loader.landing.handover import SPOOL_VARIABLE, Handover, received
from loader.landing.land import land
from loader.landing.spool import Spooled, Spools, new_spools
from tests.pipeline.landing import CARD, NAMES
from tests.support import ROOT

# Longer, as JSON, than the 65,536 bytes that a pipe holds while nobody reads it.
SPOOLED = Spooled(
    "/a/b.csv", "0" * 64, [f"column {at} " + "x" * 300 for at in range(500)], 7, 2, export_with_bom=True, is_cut=False
)
RECEIVER = """
from loader.landing.handover import received
with received() as (spooled, (records, errors)):
    print(spooled.records, len(spooled.columns), [file.read() for file in records[:2]], errors.read())
"""


@pytest.fixture
def spools() -> Iterator[Spools]:
    with new_spools() as spools:
        yield spools


def started(handover: Handover, code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | handover.variables,
        pass_fds=handover.descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    handover.given()
    return process


def test_a_process_receives_what_is_told_even_more_than_a_pipe_holds(spools: Spools):
    with Handover(spools) as handover:
        process = started(handover, RECEIVER)
        spools.records[0].write(b"good")
        spools.records[1].write(b"more")
        spools.errors.write(b"bad")
        spools.rewind()
        handover.tell(SPOOLED)
        output, _ = process.communicate(timeout=120)
    assert output == "7 500 [b'good', b'more'] b'bad'\n"


def test_a_sender_that_ends_without_a_word_is_a_refusal(spools: Spools):
    with Handover(spools) as handover:
        process = started(handover, RECEIVER)
    _, error = process.communicate(timeout=120)
    assert "SourceRefused: the command that started this dbt has ended; run it again" in error


def test_a_receiver_that_has_ended_does_not_hold_the_sender_up(spools: Spools):
    with Handover(spools) as handover:
        process = started(handover, "")
        process.communicate(timeout=120)
        handover.tell(SPOOLED)


def test_nothing_is_received_where_nobody_hands_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(SPOOL_VARIABLE, raising=False)
    with received() as handed:
        assert handed is None


def test_what_was_received_is_received_once(monkeypatch: pytest.MonkeyPatch, spools: Spools):
    with Handover(spools) as handover:
        copies = [os.dup(number) for number in handover.descriptors]
    monkeypatch.setenv(SPOOL_VARIABLE, ",".join(map(str, copies)))
    with pytest.raises(SourceRefused), received():
        pass
    assert SPOOL_VARIABLE not in os.environ


@pytest.mark.parametrize("spooled", [b"1,1,R,T,P\n", b"1,1,R,T,P\n1,1,S,T,P\n", b"1,1,R,T,P\n3,1,S,T,P\n"])
def test_spools_that_are_not_what_was_told_land_nothing(
    monkeypatch: pytest.MonkeyPatch, spools: Spools, spooled: bytes
):
    """Two records were told: one is missing, comes twice, or has another number."""
    told = Spooled("/a/b.csv", "0" * 64, NAMES, 2, 0, export_with_bom=False, is_cut=False)
    spools.records[3].write(spooled)
    spools.rewind()
    with Handover(spools) as handover, duckdb.connect() as session:
        copies = [os.dup(number) for number in handover.descriptors]
        handover.tell(told)
        monkeypatch.setenv(SPOOL_VARIABLE, ",".join(map(str, copies)))
        with pytest.raises(SourceRefused, match="nothing was landed: report this file"):
            land(session, session.sql(CARD), "raw_incident")
