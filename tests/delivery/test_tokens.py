"""The token command: one refresh for all workers, its output nowhere, a bad one is one line and a run that goes on."""

import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from loader.api.tokens import Tokens, run_tokens
from loader.errors import Refused
from loader.run.dbt import environment_of_dbt
from sandbox.process import Sandbox
from tests.delivery.test_delivery import ALL, counts, posts, stored
from tests.support import Home

SECRET = "CANARY-8c1f"  # noqa: S105 - no token


def script(folder: Path, body: str) -> str:
    """Write a Python script; return the command line that runs it."""
    path = folder / "token command.py"
    path.write_text(f"import pathlib, sys, time\nran = pathlib.Path({str(folder / 'ran')!r})\n{body}\n", "utf-8")
    return shlex.join([sys.executable, str(path)])


def printing(folder: Path, *tokens: str) -> str:
    """Return a command that prints these tokens one after the other, the last one again and again."""
    return script(
        folder,
        f"ran.open('a').write('x')\ntokens = {tokens!r}\nprint(tokens[min(len(ran.read_text()), len(tokens)) - 1])",
    )


def times_run(folder: Path) -> int:
    path = folder / "ran"
    return len(path.read_text()) if path.exists() else 0


def test_one_refresh_serves_all_workers(tmp_path: Path):
    told: list[str] = []
    command = shlex.split(script(tmp_path, "ran.open('a').write('x'); time.sleep(0.3); print('the-second')"))
    tokens = Tokens("the-first", command, told.append)
    number, token = tokens.current()
    found: list[bool] = []
    workers = [threading.Thread(target=lambda: found.append(tokens.refresh(number))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (token, found) == ("the-first", [True] * 8)
    assert tokens.current() == (2, "the-second")
    assert times_run(tmp_path) == 1
    assert told == ["401: the token has run out, QGP_API_TOKEN_COMMAND gave another"]
    assert tokens.hide("the-first, the-second, the-third") == "***, ***, the-third"


def test_a_fresh_token_is_refreshed_only_after_it_was_accepted(tmp_path: Path):
    tokens = Tokens("first", shlex.split(printing(tmp_path, "second", "third")), lambda _: None)
    assert tokens.refresh(1)
    assert not tokens.refresh(2)
    tokens.accept(1)
    assert not tokens.refresh(2)
    tokens.accept(2)
    assert tokens.refresh(2)
    assert (tokens.current(), times_run(tmp_path)) == ((3, "third"), 2)


def test_without_a_command_nothing_is_refreshed():
    tokens = Tokens("first", None, lambda _: None)
    tokens.accept(1)
    assert not tokens.refresh(1)


BAD = {
    "fails": (f"print({SECRET!r}); print({SECRET!r}, file=sys.stderr); sys.exit(7)", "ended with exit code 7"),
    "prints nothing": (f"print(); print({SECRET!r}, file=sys.stderr)", "printed no token"),
    "two lines": (f"print({SECRET!r}); print({SECRET!r})", "holds white space or control characters"),
    "control character": (f"print({SECRET!r} + chr(27) + 'x')", "holds white space or control characters"),
    "not ASCII": (
        f"sys.stdout.buffer.write(b'\\xff{SECRET}')",
        "holds white space or control characters",
    ),
    "endless": (f"while True: print({SECRET!r})", "ended with exit code -"),
    "hangs": (f"print({SECRET!r}, flush=True); time.sleep(60)", "gave no token within 0.5 s"),
    "leaves a child that holds its output": (
        "import subprocess; subprocess.Popen(['sleep', '60']); sys.exit(0)",
        "gave no token within 0.5 s",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_command_is_one_line_without_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    body, expected = BAD[kind]
    seconds = 0.5 if "0.5" in expected else 20
    monkeypatch.setenv("QGP_API_TOKEN_COMMAND", script(tmp_path, body))
    monkeypatch.delenv("QGP_API_TOKEN", raising=False)
    started = time.monotonic()
    with pytest.raises(Refused) as refused:
        run_tokens(print, seconds)
    assert time.monotonic() - started < 15
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
    assert SECRET not in message
    told: list[str] = []
    assert not Tokens("first", shlex.split(script(tmp_path, body)), told.append, seconds=seconds).refresh(1)
    assert len(told) == 1
    assert expected in told[0]
    assert SECRET not in told[0]


@pytest.mark.parametrize(
    ("command", "expected"),
    [("no-such-program-here --now", "cannot be run (No such file"), ("echo 'x", "cannot be read as a command")],
)
def test_a_command_that_is_none(monkeypatch: pytest.MonkeyPatch, command: str, expected: str):
    monkeypatch.setenv("QGP_API_TOKEN_COMMAND", command)
    monkeypatch.delenv("QGP_API_TOKEN", raising=False)
    with pytest.raises(Refused, match=expected.replace("(", r"\(")):
        run_tokens(print)


def test_no_shell_reads_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QGP_API_TOKEN_COMMAND", f"echo a$(touch${{IFS}}{tmp_path}/made);id")
    monkeypatch.delenv("QGP_API_TOKEN", raising=False)
    assert run_tokens(print).current()[1].startswith("a$(touch")
    assert not (tmp_path / "made").exists()


@pytest.mark.dbt
def test_neither_dbt_nor_the_command_gets_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QGP_API_TOKEN", SECRET)
    monkeypatch.setenv("QGP_API_TOKEN_COMMAND", "echo x")
    environment = environment_of_dbt(print)
    assert "PATH" in environment
    assert not any(name.startswith("QGP_API_TOKEN") for name in environment)
    tokens = Tokens("first", shlex.split(script(tmp_path, "import os; print(os.environ.get('QGP_API_TOKEN'))")), print)
    assert tokens.refresh(1)
    assert tokens.current() == (2, "None")


def test_a_token_that_runs_out_is_replaced_while_records_are_posted(home: Home, sandbox: Sandbox):
    sandbox.fault("status", skip=1, value=401)
    command = printing(home.folder, sandbox.token())
    done = home.loader("--import", QGP_API_TOKEN_COMMAND=command)
    assert done.returncode == 0, done.stderr
    assert counts(home) == {"created": 5}
    assert stored(sandbox) == ALL
    assert times_run(home.folder) == 1
    assert done.stderr.count("the token has run out") == 1
    sent = home.query("select sum(attempts) from audit.fct_import_records")
    assert sent == [(len(posts(sandbox)),)] == [(6,)]


def test_a_second_401_with_the_fresh_token_stops_the_run(home: Home, sandbox: Sandbox):
    home.settings(max_concurrency="1")
    sandbox.fault("status", count=0, skip=2, value=401)
    command = printing(home.folder, sandbox.token(), sandbox.token())
    done = home.loader("--import", QGP_API_TOKEN_COMMAND=command)
    assert done.returncode == 4, done.stderr
    assert counts(home) == {"created": 2, "not_attempted": 3}
    assert times_run(home.folder) == 1
    sandbox.clear_faults()
    assert home.loader("--import").returncode == 0
    assert stored(sandbox) == ALL


def test_the_command_alone_is_enough_and_its_output_goes_nowhere(home: Home, sandbox: Sandbox):
    token, fresh = sandbox.token(expires_in=-60), sandbox.token()
    done = home.loader("--import", QGP_API_TOKEN="", QGP_API_TOKEN_COMMAND=printing(home.folder, fresh))
    assert done.returncode == 0, done.stderr
    home.folder.joinpath("ran").unlink()
    again = home.loader("--import", QGP_API_TOKEN=token, QGP_API_TOKEN_COMMAND=printing(home.folder, fresh))
    assert again.returncode == 0, again.stderr
    assert times_run(home.folder) == 1, "the probe refreshes a token that was spent before the run"
    said = done.stdout + done.stderr + again.stdout + again.stderr
    files = [path for path in home.folder.rglob("*") if path.is_file() and path.name != "token command.py"]
    for secret in (token.rpartition(".")[2], fresh.rpartition(".")[2]):
        assert secret not in said
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_command_that_fails_runs_once_for_all_workers(tmp_path: Path):
    told: list[str] = []
    tokens = Tokens("first", shlex.split(script(tmp_path, "ran.open('a').write('x'); sys.exit(7)")), told.append)
    workers = [threading.Thread(target=tokens.refresh, args=[1]) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (times_run(tmp_path), len(told)) == (1, 1)
