"""An API of a test's own, whose answers can be replaced while it runs; it notes what it is asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.probe.documents import document

LIST = "/api/v1/incidents/"


@dataclass
class Api:
    """Its address, what it answers by path, and of each request (method, path, whether it has a token)."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, str, bool]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Api]:
    """Run an API that is healthy, has no records and needs a token, which may be any."""
    api = Api(
        answers={
            "/health": {"status": "healthy", "environment": "staging"},
            "/readyz": {"status": "ready"},
            "/openapi.json": document(),
            LIST: {"items": [], "total": 0, "page": 1, "page_size": 1, "pages": 0},
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            path, has_token = self.path.partition("?")[0], "Authorization" in self.headers
            api.seen.append((self.command, path, has_token))
            sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
            body = json.dumps({"id": 1} | sent if self.command == "POST" else api.answers.get(path)).encode()
            status = 201 if self.command == "POST" else 200
            self.send_response(401 if path.startswith("/api/") and not has_token else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        yield api
        server.shutdown()
