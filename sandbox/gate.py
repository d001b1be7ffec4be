"""What stands before the routes: the request log, the rate limiter and the faults on demand."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus

from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.entity import Entity, entity_at
from sandbox.errors import error_response, internal_error
from sandbox.faults import Fault, FaultBook
from sandbox.limiter import Limiter
from sandbox.names import ADMIN_PREFIX
from sandbox.store import Store
from sandbox.wire import TRICKLES, Wire

StatusNote = Callable[[int], None]

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)
_LOGGED_PREFIX = "/api/"


class Gate:
    """Outermost ASGI application around `app`; the admin routes pass it untouched."""

    def __init__(
        self, app: ASGIApp, store: Store, limiter: Limiter, faults: FaultBook, clock: Callable[[], datetime]
    ) -> None:
        self._app = app
        self._store = store
        self._limiter = limiter
        self._faults = faults
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith(f"{ADMIN_PREFIX}/"):
            await self._app(scope, receive, send)
            return
        try:
            await self._guard(scope, receive, send)
        except (ClientDisconnect, asyncio.CancelledError):
            # The client left in the middle of its request, or the server stops and has cut it off already.
            return

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        method, path = scope["method"], scope["path"]
        entity = entity_at(path)
        reference = _key_in(body, entity) if entity else None
        key = (request.headers.get("authorization", ""), method, path)
        verdict = self._limiter.check(key) if entity and entity.is_limited else None
        refused = verdict is not None and not verdict.allowed
        faults = [] if refused else self._faults.take(method, path, reference)
        wire = Wire(receive, send, self._log(method, path, reference, faults))
        date = format_datetime(self._clock().astimezone(UTC), usegmt=True)
        wire.headers = (verdict.headers if verdict else {}) | {"Date": date}
        replay = _Replay(body, receive)
        if refused:
            await self._too_many()(scope, replay, wire.send)
        else:
            await self._serve(scope, replay, wire, faults)

    def _log(self, method: str, path: str, reference: str | None, faults: list[Fault]) -> StatusNote:
        if not path.startswith(_LOGGED_PREFIX):
            return _ignore_status
        kind = faults[-1].kind if faults else None
        return partial(self._store.log_answer, self._store.log_request(method, path, reference, kind))

    async def _serve(self, scope: Scope, replay: Receive, wire: Wire, faults: list[Fault]) -> None:
        for fault in faults:
            if fault.kind == "latency":
                await asyncio.sleep(fault.number)
        if not faults or faults[-1].kind == "latency":
            await self._app(scope, replay, wire.send)
            return
        fault = faults[-1]
        if fault.kind == "early_hints":
            await wire.early_hints()
            await self._app(scope, replay, wire.send)
            return
        if fault.commits:
            await self._app(scope, replay, _discard)
        await self._fail(fault, scope, replay, wire)

    async def _fail(self, fault: Fault, scope: Scope, replay: Receive, wire: Wire) -> None:
        if fault.kind.startswith("drop_"):
            await wire.cut()
        elif fault.kind.startswith("hang"):
            await wire.hang(fault.number)
        elif fault.kind in TRICKLES:
            await wire.trickle(*TRICKLES[fault.kind], fault.number)
        else:
            if fault.kind == "rate_limited":
                wire.headers |= self._limiter.refusal_headers()
            await self._fault_answer(fault)(scope, replay, wire.send)

    def _fault_answer(self, fault: Fault) -> Response:
        if fault.kind == "rate_limited":
            return self._too_many()
        if fault.kind == "read_only":
            body = {"error_class": "UAT_WRITE_BLOCKED", "detail": "Writes are disabled on this environment"}
            return JSONResponse(body, status_code=409)
        if fault.kind == "redirect":
            return RedirectResponse(str(fault.value), status_code=307)
        if fault.kind == "body":
            return Response(fault.text, status_code=fault.status, media_type="application/json")
        status = int(fault.number)
        if status in _WITHOUT_BODY:
            return Response(status_code=status)
        return error_response(internal_error(status))

    def _too_many(self) -> Response:
        return JSONResponse({"detail": "Rate limit exceeded. Please try again later."}, status_code=429)


class _Replay:
    """A `receive` that gives the body, read already, and then whatever the server says next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _key_in(body: bytes, entity: Entity) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    key = document.get(entity.key.field) if isinstance(document, dict) else None
    # A lone surrogate, which JSON can spell, cannot be stored as it is.
    return key.encode("utf-8", "replace").decode() if isinstance(key, str) else None


async def _discard(_message: Message) -> None:
    """Drop what the routes would have answered."""


def _ignore_status(_status: int) -> None:
    """Leave a request outside /api/ out of the log."""
