"""Asks the API within a time limit that nothing can stretch: no slow resolver, no byte every few seconds."""

import threading
import time
from collections.abc import Mapping

from loader.api import MAX_BODY_BYTES, Answer, Api, Loss
from loader.config import ProbeLimits

LATE = "no answer within the time-out"


class Asking:
    """The requests of one probe; each has `request_seconds`, all together have `total_seconds`."""

    def __init__(self, api: Api, limits: ProbeLimits) -> None:
        self.api = api
        self.address = api.address
        self._request_seconds = limits.request_seconds
        self._deadline = time.monotonic() + limits.total_seconds

    def refresh_token(self, refused: Answer) -> bool:
        """Tell whether there is another token than the one refused; the command that gives it has its own time."""
        began = time.monotonic()
        try:
            return self.api.refresh_token(refused)
        finally:
            self._deadline += time.monotonic() - began

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        anonymous: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Answer:
        """Send a GET; without the token when `anonymous`. What is not there in time is an answer that got lost."""
        answers: list[Answer] = []
        surprises: list[BaseException] = []

        def ask() -> None:
            try:
                answers.append(self.api.get(path, params, anonymous=anonymous, max_bytes=max_bytes))
            except BaseException as error:
                surprises.append(error)
                raise

        # A socket's time-out begins anew with each byte, and the resolver's is not ours; a thread can be left behind.
        thread = threading.Thread(target=ask, daemon=True)
        seconds = min(self._request_seconds, self._deadline - time.monotonic())
        if seconds > 0:
            thread.start()
            thread.join(seconds)
        if surprises:
            raise surprises[0]
        if answers:
            return answers[0]
        return Answer(None, max(seconds, 0.0) * 1000, loss=Loss.NO_ANSWER, reason=LATE)
