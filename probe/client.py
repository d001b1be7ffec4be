"""Asks the API within a time limit that nothing can stretch: no slow resolver, no byte every few seconds."""

import os
import time

from loader.api.answer import LATE, Answer, Loss
from loader.api.client import MAX_BODY_BYTES, Api
from loader.config import TOKEN_COMMAND_VARIABLE, TOKEN_VARIABLE, ProbeLimits


class Asking:
    """The requests of one probe; each has `request_seconds`, all together have `total_seconds`."""

    def __init__(self, api: Api, limits: ProbeLimits) -> None:
        self._api = api
        self._request_seconds = limits.request_seconds
        self._deadline = time.monotonic() + limits.total_seconds
        self._has_answered = False

    def refresh_token(self, refused: Answer) -> bool:
        """Tell whether there is another token than the one refused; the command that gives it has its own time."""
        began = time.monotonic()
        try:
            return self._api.refresh_token(refused)
        finally:
            self._deadline += time.monotonic() - began

    def get(self, path: str, *, anonymous: bool = False, max_bytes: int = MAX_BODY_BYTES) -> Answer:
        """Send a GET; without the token when `anonymous`. One that is late is sent again while there is time.

        An API that has answered nothing at all yet is given one request.
        """
        while (seconds := min(self._request_seconds, self._deadline - time.monotonic())) > 0:
            answer = self._api.get(path, anonymous=anonymous, max_bytes=max_bytes, seconds=seconds)
            self._has_answered = self._has_answered or answer.status is not None
            if answer.reason != LATE or not self._has_answered:
                return answer
        return Answer(None, 0.0, loss=Loss.NO_ANSWER, reason=LATE)

    def curl(self, path: str, *, with_token: bool = False) -> str:
        """Return a line for bash that asks the same; the token stays in its variable, and out of the process list."""
        url = f"'{self._api.address}{path}'"
        if not with_token:
            return f"curl -sS -i {url}"
        has_command_alone = not os.environ.get(TOKEN_VARIABLE) and os.environ.get(TOKEN_COMMAND_VARIABLE)
        token = f'$(eval "${TOKEN_COMMAND_VARIABLE}")' if has_command_alone else f"${TOKEN_VARIABLE}"
        return f'curl -sS -i -H @- {url} <<< "Authorization: Bearer {token}"'
