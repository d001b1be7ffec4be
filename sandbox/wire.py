"""The client's end of one exchange: what is sent on it, and how it is cut."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from starlette.types import Message, Receive, Send

# The platform closes a connection only after it has written a 500's traceback. A client that is quick to send
# again within that time meets a reset; without the pause it would notice the end and connect anew.
_PAUSE_BEFORE_CLOSE = 0.02


# What comes first, and what comes again and again, without an end.
TRICKLES = {
    "slow_head": (b"HTTP/1.1 201 Created\r\nX-Slow: ", b"x"),
    "slow_body": (b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n{", b" "),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
_EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


def transport_of(send: Send) -> asyncio.Transport:
    """Give the socket's transport behind uvicorn's `send`, the h11 cycle's bound method.

    ASGI has no way to cut a connection, so this reaches for the server's own object.
    """
    return cast("asyncio.Transport", cast("Any", send).__self__.transport)


class Wire:
    """Sends one answer: adds `headers`, reports the status before it leaves, hangs up after a 500."""

    def __init__(self, receive: Receive, send: Send, on_status: Callable[[int], None]) -> None:
        self.headers: dict[str, str] = {}
        self._receive = receive
        self._send = send
        self._on_status = on_status
        self._status = 0

    async def send(self, message: Message) -> None:
        """Pass an ASGI message on to the client."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._on_status(self._status)
            extra = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            message = {**message, "headers": [*message["headers"], *extra]}
        await self._send(message)
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last and self._status == HTTPStatus.INTERNAL_SERVER_ERROR:
            await self._close_unannounced()

    async def cut(self) -> None:
        """End the connection without another byte."""
        transport_of(self._send).abort()
        await self._client_gone()

    async def hang(self, seconds: float) -> None:
        """Say nothing for `seconds`, or until the client has gone, and then cut."""
        try:
            await asyncio.wait_for(self._client_gone(), seconds)
        except TimeoutError:
            await self.cut()

    async def early_hints(self) -> None:
        """Send an interim answer."""
        transport_of(self._send).write(_EARLY_HINTS)

    async def trickle(self, first: bytes, piece: bytes, seconds: float) -> None:
        """Send piece after piece, with a pause before each, until the client has gone."""
        transport = transport_of(self._send)
        transport.write(first)
        gone = asyncio.ensure_future(self._client_gone())
        while not gone.done():
            await asyncio.wait([gone], timeout=seconds)
            transport.write(piece)

    async def _close_unannounced(self) -> None:
        transport = transport_of(self._send)
        # What arrives now stays unread, and unread bytes turn the close into a reset.
        if not transport.is_closing():
            transport.pause_reading()
        await asyncio.sleep(_PAUSE_BEFORE_CLOSE)
        transport.close()

    async def _client_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
