"""Command-line options of the sandbox, and how each is read."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from sandbox.auth import ALL_PERMISSIONS, DEFAULT_LIFETIME, DEFAULT_TENANT
from sandbox.entity import ENTITIES
from sandbox.faults import KINDS, Fault, parse_fault

_HIGHEST_PORT = 65535
_ENVIRONMENTS = ("development", "staging", "production")
Number = TypeVar("Number", int, float)


def command_line() -> argparse.ArgumentParser:
    """Make the parser of `python -m sandbox`, with its commands serve and token."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local staging API on loopback, for tests and the demo."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the API until SIGTERM or Ctrl-C")
    serve.description = "Runs the API on loopback and prints one line when it accepts connections."
    _add_place(serve)
    _add_behaviour(serve)
    token = commands.add_parser("token", help="print a token for it; worthless anywhere else")
    token.description = "Prints a JWT. Its signing key is public: nothing but the sandbox takes it."
    _add_token(token)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address to listen on (default %(default)s)")
    add("--port", type=_port, default=8010, help="0 = any free port (default %(default)s)")
    add(
        "--database",
        type=Path,
        default=Path("data/sandbox.sqlite"),
        metavar="PATH",
        help="SQLite file; records in it outlive a restart (default %(default)s)",
    )
    add(
        "--environment",
        choices=_ENVIRONMENTS,
        default="development",
        help="what /health says; production does not serve /openapi.json (default %(default)s)",
    )


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    count, seconds, milliseconds = _at_least(int, 0), _at_least(float, 0.01), _at_least(float, 0)
    add("--rate-limit", type=count, default=0, metavar="N", help="requests a window (default 0 = off)")
    add("--rate-window", type=seconds, default=60.0, metavar="SECONDS", help="default 60")
    add("--latency-ms", type=milliseconds, default=0.0, metavar="N", help="time each create takes (default 0)")
    add("--clock-ahead", type=float, default=0.0, metavar="SECONDS", help="how far its clock is ahead of the machine's")
    add(
        "--withdraw",
        type=_withdrawn,
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="an enum value the platform knows no longer; repeatable",
    )
    add(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="KIND[:COUNT[:VALUE]]",
        help="what goes wrong with the next COUNT creates (default 1, 0 = all); VALUE is seconds, a status, "
        f"a URL or a text; repeatable; KIND is one of {', '.join(KINDS)}",
    )


def _add_token(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--permissions",
        type=_listed,
        default=ALL_PERMISSIONS,
        metavar="NAME[,NAME...]",
        help=f"default {','.join(ALL_PERMISSIONS)}",
    )
    add(
        "--expires-in",
        type=int,
        default=DEFAULT_LIFETIME,
        metavar="SECONDS",
        help="negative gives an expired token (default %(default)s)",
    )
    add("--tenant", metavar="NAME", help=f"whose records it sees (default {DEFAULT_TENANT})")


def _at_least(kind: Callable[[str], Number], lowest: float) -> Callable[[str], Number]:
    def number(text: str) -> Number:
        value = kind(text)
        if not lowest <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be at least {lowest}")
        return value

    return number


def _port(text: str) -> int:
    if not 0 <= int(text) <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"must be 0 to {_HIGHEST_PORT}")
    return int(text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _withdrawn(text: str) -> tuple[str, str]:
    field, _, value = text.partition("=")
    enums = [(name, values) for entity in ENTITIES.values() for name, values in entity.enums.items()]
    if not any(name == field and value in values for name, values in enums):
        raise argparse.ArgumentTypeError(f"{text!r} is not a value of {', '.join(name for name, _ in enums)}")
    return field, value


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValidationError as error:
        reasons = "; ".join(item["msg"] for item in error.errors())
        raise argparse.ArgumentTypeError(reasons) from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
