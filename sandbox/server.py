"""Runs the application on a loopback socket until a signal ends it."""

import asyncio
import gc
import ipaddress
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

_KEEP_ALIVE_SECONDS = 5


def loopback_address(host: str) -> str | None:
    """Give the address to listen on for `host`, or None when it is not a loopback one."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:  # noqa: PLR2004 (the number is a version)
        return str(address) if address.is_loopback else None
    return str(address) if address == ipaddress.IPv6Address("::1") else None


def bind(address: str, port: int) -> socket.socket:
    """Take `port` (0 = any free one) on a loopback address; raises `OSError` when it is in use."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio switches Nagle's delay off only where the protocol is named; left on, each answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        # Listening takes the port for good: a bound socket alone does not stop another one.
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the base URL of a bound socket, without a trailing slash."""
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server that tells when it accepts connections, and drops the open ones when it stops."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._announcement, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def run(app: ASGIApp, listener: socket.socket, announcement: str) -> None:
    """Serve until SIGTERM or SIGINT; print `announcement` once connections are accepted.

    The process then ends with exit code 0: `SystemExit` is raised from here.
    """
    # uvicorn takes both signals over while it serves, and raises them again when it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        date_header=False,  # the gate's own: by the clock of the records
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    # What is loaded by this point lives as long as the process: the collector need not walk it again and again.
    gc.freeze()
    _Server(config, announcement).run([listener])
