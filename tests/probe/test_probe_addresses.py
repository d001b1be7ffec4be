"""Addresses that belong to production or to nobody: each is refused before any socket is opened.

A process of its own tries them all, by the probe and each fourth by an import too, with an audit hook that notes every
look-up and connection and lets none happen.
"""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import new_home

HOST = "qgp-staging.example.com"
WRONG = {
    # production, however it is spelt
    "production": ["https://qgp-prod.example.com", "is production"],
    "production in capitals": ["HTTPS://QGP-PROD.EXAMPLE.COM", "is production"],
    "production with a dot at the end": ["https://qgp-prod.example.com.", "is production"],
    "production on another port": ["https://qgp-prod.example.com:8443/", "is production"],
    "production without TLS": ["http://qgp-prod.example.com", "is production"],
    "production as a label": ["https://api.prod.example.com", "is production"],
    "production behind credentials": [f"https://{HOST}@qgp-prod.example.com", "nothing else"],
    "production behind an escape": ["https://qgp-%70rod.example.com", "nothing else"],
    "production in punycode": ["https://xn--qgp-prod-6ve.example.com", "is production"],
    "production in other letters": ["https://qgp-\uff50rod.example.com", "nothing else"],
    "production by its number": ["https://192.0.2.10", "allowed_hosts"],
    # a host that is listed, in part of the text only
    "two @": [f"https://a@{HOST}@evil.example", "nothing else"],
    "credentials with a host": [f"https://{HOST}:443@evil.example", "nothing else"],
    "credentials": [f"https://user:CANARY@{HOST}", "nothing else"],
    "a token as the user": [f"https://CANARY@{HOST}", "nothing else"],
    "a token in the query": [f"https://{HOST}/?token=CANARY", "nothing else"],
    "an escaped @": [f"https://evil.example%40{HOST}", "nothing else"],
    "a fragment before it": [f"https://evil.example#@{HOST}", "nothing else"],
    "a query before it": [f"https://evil.example?@{HOST}", "nothing else"],
    "a backslash before it": [f"https://evil.example\\.{HOST}", "nothing else"],
    "a list of hosts": [f"https://{HOST},evil.example", "nothing else"],
    "a semicolon": [f"https://{HOST};evil.example", "nothing else"],
    "a host before the brackets": ["https://evil.example[::1]", "nothing else"],
    "a host after the brackets": ["https://[::1].evil.example", "nothing else"],
    "a name in brackets": [f"https://[{HOST}]", "nothing else"],
    "a suffix of it": [f"https://{HOST}.evil.example", "allowed_hosts"],
    "a prefix of it": [f"https://evil-{HOST}", "allowed_hosts"],
    "its parent": ["https://example.com", "allowed_hosts"],
    "its pattern": ["https://*.example.com", "nothing else"],
    # almost the listed host
    "two dots at the end": [f"https://{HOST}..", "allowed_hosts"],
    "two dots inside": ["https://qgp-staging..example.com", "allowed_hosts"],
    "an underscore": ["https://qgp_staging.example.com", "allowed_hosts"],
    "ideographic full stops": ["https://qgp-staging\u3002example\u3002com", "nothing else"],
    "a zero-width space": [f"https://\u200b{HOST}", "nothing else"],
    "the Kelvin sign": ["https://\u212aocalhost", "nothing else"],
    "a tab inside": ["https://qgp-\tstaging.example.com", "nothing else"],
    "a line break in the scheme": [f"ht\ntps://{HOST}", "nothing else"],
    "no TLS": [f"http://{HOST}", "use https"],
    "an empty port": [f"https://{HOST}:", "nothing else"],
    "port 0": [f"https://{HOST}:0", "nothing else"],
    "a port with zeros": [f"https://{HOST}:00443", "nothing else"],
    "a port too high": [f"https://{HOST}:65536", "nothing else"],
    "two ports": [f"https://{HOST}:443:443", "nothing else"],
    "an empty query": [f"https://{HOST}?", "nothing else"],
    "an empty fragment": [f"https://{HOST}/#", "nothing else"],
    "a path": [f"https://{HOST}/api", "nothing else"],
    "three slashes": [f"https:///{HOST}", "nothing else"],
    "one slash": [f"https:/{HOST}", "nothing else"],
    "no scheme": [HOST, "nothing else"],
    "two schemes": [f"https://https://{HOST}", "nothing else"],
    "another scheme": [f"wss://{HOST}", "nothing else"],
    # loopback, in spellings that resolvers accept and that are not listed
    "a decimal number": ["http://2130706433", "allowed_hosts"],
    "a hexadecimal number": ["http://0x7f.0.0.1", "allowed_hosts"],
    "an octal number": ["http://0177.0.0.1", "allowed_hosts"],
    "a short number": ["http://127.1", "allowed_hosts"],
    "padded numbers": ["http://127.000.000.001", "allowed_hosts"],
    "any interface": ["http://0.0.0.0:8010", "allowed_hosts"],
    "a mapped number": ["http://[::ffff:127.0.0.1]", "allowed_hosts"],
    "a mapped number in hexadecimal": ["http://[::ffff:7f00:1]", "allowed_hosts"],
    "a long form": ["http://[0:0:0:0:0:0:0:1]", "allowed_hosts"],
    "a zone": ["http://[::1%25lo]", "nothing else"],
    "IPv4 in brackets": ["http://[127.0.0.1]", "nothing else"],
}
# The same host as the listed one; these must be tried to the end, or the hook proves nothing.
RIGHT = {
    f"https://{HOST}": f"https://{HOST}",
    "HTTPS://QGP-Staging.Example.COM./": f"https://{HOST}",
    f"https://{HOST}:8443": f"https://{HOST}:8443",
    "http://LOCALHOST.:8010": "http://localhost:8010",
    "http://[::1]:8010/": "http://[::1]:8010",
}
TRIES = """
import contextlib, io, json, os, sys
from loader import __main__ as loader_main
from probe import cli as probe_cli

opened = []
class Opened(BaseException): ...
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        opened.append([event, str(arguments[-1 if event == "socket.connect" else 0])])
        raise Opened
sys.addaudithook(hook)
results = []
commands = [(probe_cli.main, ["staging"]), (loader_main.main, ["--environment", "staging", "--import"])]
for number, address in enumerate(json.load(open(sys.argv[1]))):
    os.environ["QGP_STAGING_API_URL"] = address
    for main, arguments in commands if number % 4 == 0 else commands[:1]:
        opened.clear()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(arguments)
            except Opened:
                code = None
        results.append([address, code, out.getvalue(), err.getvalue(), list(opened)])
json.dump(results, sys.stdout)
"""


@pytest.fixture(scope="module")
def tried(workplace: Path) -> dict[str, list[list[Any]]]:
    """Return, for each address, what both commands came to: exit code, output, error output, what they opened."""
    home = new_home(workplace / "addresses", QGP_API_TOKEN="made.up.token")  # noqa: S106 - no token
    addresses = home.folder / "addresses.json"
    addresses.write_text(json.dumps([address for address, _ in WRONG.values()] + list(RIGHT)), encoding="utf-8")
    done = home.run([sys.executable, "-c", TRIES, addresses])
    assert done.returncode == 0, done.stderr
    results: dict[str, list[list[Any]]] = {}
    for address, *result in json.loads(done.stdout):
        results.setdefault(address, []).append(result)
    return results


@pytest.mark.parametrize("name", WRONG)
def test_refused_before_any_socket_is_opened(tried: dict[str, list[list[Any]]], name: str):
    address, reason = WRONG[name]
    for code, out, err, opened in tried[address]:
        assert (code, out, opened) == (2, "", [])
        assert err.startswith("error: staging: ")
        assert err.count("\n") == 1
        assert reason in err
        assert "canary" not in err.lower()


@pytest.mark.parametrize("address", RIGHT)
def test_the_listed_host_is_spoken_to_under_its_plain_name(tried: dict[str, list[list[Any]]], address: str):
    parts = urlsplit(RIGHT[address])
    for code, _, _, opened in tried[address]:
        assert code in (None, 3)
        assert opened == [["socket.getaddrinfo", parts.hostname]]
