"""Command line of the sandbox."""

import argparse
import socket
import sqlite3
import sys
from collections.abc import Sequence

from sandbox.app import build_app
from sandbox.auth import issue_token
from sandbox.options import command_line
from sandbox.server import bind, loopback_address, run, url_of
from sandbox.settings import Settings
from sandbox.store import Store

_REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give 0, or 2 when it was refused."""
    options = command_line().parse_args(arguments)
    if options.command == "token":
        print(issue_token(options.permissions, options.expires_in, options.tenant))
        return 0
    address = loopback_address(options.host)
    if address is None:
        return _refuse(f"refused: {options.host} is not a loopback address, and it listens nowhere else")
    try:
        listener = bind(address, options.port)
    except OSError as error:
        return _refuse(f"cannot listen on {address} port {options.port}: {error.strerror}")
    with listener:
        return _serve(listener, options)


def _serve(listener: socket.socket, options: argparse.Namespace) -> int:
    settings = Settings(
        environment=options.environment,
        rate_limit=options.rate_limit,
        rate_window=options.rate_window,
        latency=options.latency_ms / 1000,
        withdrawn=frozenset(options.withdraw),
        faults=tuple(options.fault),
    )
    try:
        store = Store(options.database, options.clock_ahead)
    except (OSError, sqlite3.Error) as error:
        return _refuse(f"cannot open the database {options.database}: {error}")
    announcement = f"sandbox listening on {url_of(listener)} (environment: {settings.environment})"
    try:
        run(build_app(settings, store), listener, announcement)
    finally:
        store.close()
    return 0


def _refuse(reason: str) -> int:
    print(f"sandbox: {reason}", file=sys.stderr)
    return _REFUSED
