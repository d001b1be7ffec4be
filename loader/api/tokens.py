"""The API token of a run: where it comes from, and how a spent one is replaced while workers are posting."""

import base64
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from loader.config import TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE
from loader.errors import Refused

HIDDEN = "***"
COMMAND_SECONDS = 60.0
_MAX_TOKEN_BYTES = 1 << 16
# What is shorter is no secret, and would take letters out of every word.
_SHORTEST = 8
# A form is known by its beginning; a part of a JWT by itself needs more of it to be one.
_KNOWN_BY, _SHORTEST_PART = 12, 16
# After its beginning a form goes on as far as it can, over the line breaks of base64 too.
_RUN = r"[\w%\\&#;+/=.~\x00-]"
_REST = rf"(?:{_RUN}++|\s{{1,4}}+(?={_RUN}{{{_SHORTEST_PART}}}))*"
# Base64 has two alphabets, and JSON may write a backslash before a slash.
_URL_SAFE, _AS_IT_STANDS = str.maketrans("+/", "-_"), {"+": "[+-]", "/": r"\\{0,4}[/_]"}
# Without one of these nothing is escaped.
_SIGNS = ("%", "\\", "&#", "\x00")


def hiding(token: str) -> Callable[[str], str]:
    """Return what takes the forms of a token out of a text: itself, its parts, its base64 and its hexadecimal digits.

    They are found as they are or escaped: each character as %XX, as an escape of JSON or as a reference of HTML, or
    with zero bytes around it, as UTF-16 has it. A token that is too short to be a secret has no forms.
    """
    if len(token) < _SHORTEST:
        return str
    parts = [part for part in token.split(".") if len(part) >= _SHORTEST_PART]
    texts = {text[:_KNOWN_BY] for text in (token, *parts)}
    coded = {_base64(token, shift)[:_KNOWN_BY] for shift in range(3)}
    digits = token.encode().hex()[: 2 * _KNOWN_BY]
    plain = {*texts, *coded, *(text.translate(_URL_SAFE) for text in coded)}
    signs = (*_SIGNS, *plain, digits, digits.upper())
    spelt = ["".join(map(_spelt, text)) for text in (*texts, *coded)]
    pattern = re.compile(f"(?:{'|'.join([*spelt, f'(?i:{digits})'])}){_REST}", re.ASCII)

    def hide(text: str) -> str:
        # Only a text that may hold it is looked at closely, which is slow.
        for sign in signs:
            if sign in text:
                return pattern.sub(HIDDEN, text)
        return text

    return hide


def _base64(token: str, shift: int) -> str:
    """Return what any base64 of a text has of the token in it, `shift` bytes after a multiple of three."""
    data = base64.b64encode(b"\0" * shift + token.encode()).decode()
    return data[(8 * shift + 5) // 6 : 8 * (shift + len(token)) // 6]


def _spelt(sign: str) -> str:
    code = ord(sign)
    escaped = rf"%(?:25){{0,2}}{code:02x}|\\{{1,4}}(?:u00|x){code:02x}|&#(?:0{{0,5}}{code}|x0{{0,5}}{code:x});"
    return rf"(?:{_AS_IT_STANDS.get(sign, re.escape(sign))}|(?i:{escaped}))\x00{{0,3}}"


class Tokens:
    """The tokens of one run, the last of which is sent. Shared by the workers."""

    def __init__(
        self,
        token: str,
        command: list[str] | None,
        notify: Callable[[str], None],
        *,
        is_fresh: bool = False,
        seconds: float = COMMAND_SECONDS,
    ) -> None:
        self._tokens = [token]
        self._hiding = [hiding(token)]
        self._command = command
        self._notify = notify
        self._may_have_run_out = not is_fresh
        self._seconds = seconds
        self._lock = threading.Lock()

    @property
    def is_renewable(self) -> bool:
        """Tell whether a command gives another token when this one has run out."""
        return self._command is not None

    def current(self) -> tuple[int, str]:
        """Return the token to send and its number, from 1."""
        with self._lock:
            return len(self._tokens), self._tokens[-1]

    def accept(self, number: int) -> None:
        """Note that the API has taken this token: when it is refused later, it has run out."""
        with self._lock:
            self._may_have_run_out = self._may_have_run_out or number == len(self._tokens)

    def refresh(self, number: int) -> bool:
        """Tell whether there is another token than this one, which the API has refused.

        The first worker runs the command, the others wait for it. A token that came from the command and was never
        accepted is not replaced: another one would be refused too.
        """
        with self._lock:
            if number < len(self._tokens):
                return True
            if self._command is None or not self._may_have_run_out:
                return False
            try:
                token = _obtained(self._command, self._seconds)
            except Refused as error:
                self._notify(str(error))
                self._command = None
                return False
            self._notify(f"401: the token has run out, {TOKEN_COMMAND_VARIABLE} gave another")
            self._hiding.append(hiding(token))
            self._tokens.append(token)
            self._may_have_run_out = False
            return True

    def hide(self, text: str) -> str:
        """Return the text without any token of the run, however it is written in there."""
        for hide in self._hiding:
            text = hide(text)
        return text


def run_tokens(notify: Callable[[str], None], seconds: float = COMMAND_SECONDS) -> Tokens:
    """Return the tokens of a run: `QGP_API_TOKEN` first, or what `QGP_API_TOKEN_COMMAND` prints where it is not set.

    Raises:
        Refused: neither is set, the command cannot be read or gives none, or the token holds characters that no HTTP
            header may carry. The message quotes neither token nor command.

    """
    try:
        command = shlex.split(os.environ.get(TOKEN_COMMAND_VARIABLE, "")) or None
    except ValueError as error:
        raise Refused(f"{TOKEN_COMMAND_VARIABLE} cannot be read as a command ({error}); correct its quotes") from error
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return Tokens(_clean(token, TOKEN_VARIABLE, "export the token alone"), command, notify, seconds=seconds)
    if command is None:
        raise Refused(f"{TOKEN_VARIABLE} is not set; export it, then run again (RUNBOOK section 4, Prerequisites)")
    return Tokens(_obtained(command, seconds), command, notify, is_fresh=True, seconds=seconds)


def _clean(token: str, origin: str, fix: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Refused(f"{origin} holds white space or control characters inside; {fix}")
    return token


def _obtained(command: list[str], seconds: float) -> str:
    """Run the command without a shell; its output is the token, what it writes to standard error is dropped."""
    fix, began = "run it by hand to see why", time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command
            command,
            env={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise Refused(f"{TOKEN_COMMAND_VARIABLE} cannot be run ({error.strerror}); {fix}") from error
    timer = threading.Timer(seconds, _end, [process])
    timer.daemon = True
    timer.start()
    with process:
        output = process.stdout.read(_MAX_TOKEN_BYTES + 1) if process.stdout else b""
        if len(output) > _MAX_TOKEN_BYTES:
            _end(process)
    timer.cancel()
    if time.monotonic() - began >= seconds:
        raise Refused(f"{TOKEN_COMMAND_VARIABLE} gave no token within {seconds:g} s; {fix}")
    if process.returncode:
        raise Refused(f"{TOKEN_COMMAND_VARIABLE} ended with exit code {process.returncode}; {fix}")
    token = output.decode(errors="replace").strip()
    if not token:
        raise Refused(f"{TOKEN_COMMAND_VARIABLE} printed no token; {fix}")
    return _clean(token, f"what {TOKEN_COMMAND_VARIABLE} printed", "it must print the token alone")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it has started, which may hold its output open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
