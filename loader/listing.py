"""Reads the pages of the API's list, paced and retried like everything else that is sent."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from loader.answer import Answer, is_lost
from loader.api import Api
from loader.config import Delivery
from loader.pacing import Pace
from loader.retry import api_message, backoff
from loader.steps import Step, step

PAGE_RECORDS = 100
# A page of a hundred records with the longest descriptions that the card lets pass, each & of them as &amp;.
_MAX_PAGE_BYTES = 64 << 20
_NOT_OURS = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


@dataclass(frozen=True)
class Page:
    """One page: its records, and the number of all pages."""

    items: list[dict[str, Any]]
    pages: int


class Listing:
    """The list endpoint. `status` is the HTTP status of the last page."""

    def __init__(self, api: Api, endpoint: str, pace: Pace, delivery: Delivery) -> None:
        self._api = api
        self._endpoint = endpoint
        self._pace = pace
        self._delivery = delivery
        self.status: int | None = None

    def page(self, number: int, search: str | None = None) -> Page | None:
        """Return a page, newest record first; None when it cannot be had, and then the run may be stopping."""
        params: dict[str, str | int] = {"page": number, "page_size": PAGE_RECORDS}
        if search is not None:
            params["search"] = search
        answer = self._answer(partial(self._get, self._endpoint, params))
        return self._read(answer) if answer else None

    def record(self, record_id: str) -> Answer | None:
        """Return the answer to a GET of one record, 403 or 404 where it is not ours to see; None as for a page."""
        path = self._endpoint + quote(record_id, safe="")
        return self._answer(partial(self._get, path, None), _NOT_OURS)

    def _answer(self, get: Callable[[], Answer], also: Collection[int] = ()) -> Answer | None:
        """Return an answer of status 200, or one of `also`."""
        failures, refused = 0, False
        while failures < self._delivery.max_attempts and (answer := self._pace.send(get)):
            self.status = answer.status
            if answer.status == HTTPStatus.OK or answer.status in also:
                return answer
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                continue
            if answer.status is None or is_lost(answer.status):
                failures += 1
                self._failed(answer, failures)
            elif answer.status != HTTPStatus.UNAUTHORIZED or refused or not self._api.refresh_token(answer):
                self._stop(f"{answer.status} ({api_message(answer)}): {_fix(answer.status)}")
            else:
                refused = True
        return None

    def _get(self, path: str, params: dict[str, str | int] | None) -> Answer:
        with step(Step.READ_BACK):
            return self._api.get(path, params, max_bytes=_MAX_PAGE_BYTES)

    def _read(self, answer: Answer) -> Page | None:
        body = answer.json()
        items, pages = (body.get("items"), body.get("pages")) if isinstance(body, dict) else (None, None)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items) or type(pages) is not int:
            self._stop("200, but not a page of records: check the address")
            return None
        self._pace.answered()
        return Page(items, pages)

    def _failed(self, answer: Answer, failures: int) -> None:
        reason = answer.reason or f"{answer.status} ({api_message(answer)})"
        self._pace.lost(self._delivery.stop_after_lost_answers, reason)
        if failures < self._delivery.max_attempts:
            self._pace.back_off(backoff(failures, self._delivery.backoff_seconds, self._delivery.backoff_max_seconds))

    def _stop(self, reason: str) -> None:
        self._pace.stop(f"reading back was answered {reason}")


def _fix(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "refresh QGP_API_TOKEN, it needs incident:read"
    return "check the address"
