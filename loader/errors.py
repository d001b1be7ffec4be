"""Expected failures, sorted by what to do next. Each is one line for people and one exit code for schedulers.

EtlError
|- Refused               2  usage, configuration, production, unsafe URL: change the command or the settings
|  |- SourceRefused      2  the source file cannot be trusted at all: change the file
|  `- GateClosed         2  nothing tested to post: run the command that the message names
|- RecordsRefused        1  the data is at fault: read the validation report
|- NotFound              1  the audit trail has no such record: check what was typed
|- ApiUnavailable        3  the API cannot be reached or its contract is not verified
`- StoppedEarly          4  what was done is kept; the same command resumes
   |- DatabaseLocked     4  another process holds the database
   `- Interrupted  130/143  Ctrl-C or SIGTERM before anything was posted
"""

OK = 0
SOME_RECORDS = 1


class EtlError(Exception):
    """A failure that is expected: the message says what, where and what to do next, on one line."""

    exit_code = 1


class Refused(EtlError):
    """The command, the settings or the address are not acceptable; nothing was done."""

    exit_code = 2


class SourceRefused(Refused):
    """The source file cannot be trusted at all; nothing of it was landed.

    It shows no traceback: dbt prints the one of a Python model's error, and the line that counts would be lost in it.
    """

    __traceback__ = property(lambda _: None, lambda *_: None)


class GateClosed(Refused):
    """There is no payload that passed its tests; nothing was posted."""


class RecordsRefused(EtlError):
    """Some records are invalid, so the payload may not be posted; nothing was posted."""

    exit_code = 1


class NotFound(EtlError):
    """The audit trail has no such record; the message says where it was looked for."""

    exit_code = 1


class ApiUnavailable(EtlError):
    """The API is unreachable, or is not the one the card describes; nothing was posted."""

    exit_code = 3


class StoppedEarly(EtlError):
    """The run stopped before its end; what it did is in `audit` and the same command goes on."""

    exit_code = 4


class DatabaseLocked(StoppedEarly):
    """Another process holds the database longer than `lock_wait_seconds`."""


class Interrupted(StoppedEarly):
    """A signal ended the run; `exit_code` is 128 plus its number, as shells have it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by signal {signal_number}; run the same command again to go on")
        self.exit_code = 128 + signal_number
