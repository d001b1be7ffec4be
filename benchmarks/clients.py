"""What the loader is timed beside: bare clients that post the same bodies and account for nothing.

loop   one `requests.post` after the other on a keep-alive session
pool   the same in N threads
raw    N keep-alive sockets of asyncio, the requests put together beforehand: what the server can take at all

The token is that of QGP_API_TOKEN. Prints the seconds from the first request to the last answer; any answer but 201
ends it.

Usage: python -m benchmarks.clients loop|pool|raw URL CONCURRENCY BODIES
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

CONTENT_LENGTH = b"content-length:"


def loop(url: str, token: str, bodies: list[str], _concurrency: int = 1) -> None:
    """Post one body after the other."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for body in bodies:
            _check(session.post(url, json=json.loads(body), timeout=60).status_code)


def pool(url: str, token: str, bodies: list[str], concurrency: int) -> None:
    """Post them from as many threads as requests may be under way."""
    with requests.Session() as session, ThreadPoolExecutor(concurrency) as threads:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        session.mount(url, HTTPAdapter(pool_connections=1, pool_maxsize=concurrency))
        for answer in threads.map(lambda body: session.post(url, json=json.loads(body), timeout=60), bodies):
            _check(answer.status_code)


def raw(url: str, token: str, bodies: list[str], concurrency: int) -> None:
    """Post them on bare sockets."""
    address = urlsplit(url)
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    sent = iter([(head.replace("{length}", str(len(body.encode()))) + body).encode() for body in bodies])

    async def all_of_them() -> None:
        await asyncio.gather(*(_raw_worker(address.hostname or "", address.port, sent) for _ in range(concurrency)))

    asyncio.run(all_of_them())


async def _raw_worker(host: str, port: int | None, requests_left: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in requests_left:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        _check(int(head.split(b" ", 2)[1]))
        await reader.readexactly(int(head.lower().split(CONTENT_LENGTH)[1].split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


def _check(status: int) -> None:
    if status != HTTPStatus.CREATED:
        raise SystemExit(f"answered {status}, not 201")


def main(kind: str, url: str, concurrency: str, bodies: str) -> None:
    """Post every line of the file `bodies`; print the seconds."""
    lines = Path(bodies).read_text(encoding="utf-8").splitlines()
    client = {"loop": loop, "pool": pool, "raw": raw}[kind]
    begun = time.monotonic()
    client(url, os.environ["QGP_API_TOKEN"], lines, int(concurrency))
    print(time.monotonic() - begun)


if __name__ == "__main__":
    main(*sys.argv[1:])
