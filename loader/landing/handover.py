"""Hands a spooled file from the command to the dbt that it has started: while dbt starts, the command scans.

Plain `dbt build` has nobody to hand it one, and scans for itself.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import Self

from loader.errors import SourceRefused
from loader.landing.spool import Spooled, Spools

# The numbers of the descriptors that dbt is given: a pipe on which the rest is told, and the spools.
SPOOL_VARIABLE = "ETL_SPOOL"


class Handover:
    """The sender's side: `descriptors` are what the receiver has to be given, in this order."""

    def __init__(self, spools: Spools) -> None:
        read, write = os.pipe()
        self._read, self._write = os.fdopen(read, "rb"), os.fdopen(write, "w", encoding="utf-8")
        self.descriptors = (read, spools.errors.fileno(), *(file.fileno() for file in spools.records))
        # By these `received` finds what it was given.
        self.variables = {SPOOL_VARIABLE: ",".join(map(str, self.descriptors))}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._read.close()
        with suppress(BrokenPipeError):
            self._write.close()

    def given(self) -> None:
        """Close what only the receiver needs, once it has been given."""
        self._read.close()

    def tell(self, spooled: Spooled) -> None:
        """Tell the receiver that the spools are complete; one that has ended meanwhile says why by itself."""
        with suppress(BrokenPipeError), self._write:
            json.dump(asdict(spooled), self._write)


@contextmanager
def received() -> Iterator[tuple[Spooled, Spools] | None]:
    """Yield what was handed over and the spools, once they are complete; None when nobody hands anything over.

    Raises SourceRefused where the sender gave up.
    """
    numbers = os.environ.pop(SPOOL_VARIABLE, "")
    if not numbers:
        yield None
        return
    told, *spools = map(int, numbers.split(","))
    with ExitStack() as files:
        pipe = files.enter_context(os.fdopen(told, encoding="utf-8"))
        errors, *records = [files.enter_context(os.fdopen(number, "rb")) for number in spools]
        text = pipe.read()
        if not text:
            raise SourceRefused("the command that started this dbt has ended; run it again")
        yield Spooled(**json.loads(text)), Spools(records, errors)
