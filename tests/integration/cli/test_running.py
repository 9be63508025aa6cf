"""Starting and stopping for real: what is wrong is said in one line, Ctrl-C ends cleanly, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.integration.cli.installations import (
    PROGRAM,
    Done,
    environment,
    exported,
    folder,
    postgres_processes,
    run,
    started,
)

from tallystick.cli.program import main
from tallystick.sandbox.loopback import free_port

ERP = '[systems.erp]\nkind = "sandbox_erp"\nurl = "http://127.0.0.1:9"\n'
Start = Callable[..., Done]


@pytest.fixture
def place() -> Iterator[Path]:
    with folder() as at:
        yield at


@pytest.fixture
def start(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Start:
    """`tallystick run` with these settings, in this process: it must not get as far as serving."""
    monkeypatch.chdir(place)

    def command(settings: str, *arguments: str, **variables: str) -> Done:
        (place / "tallystick.toml").write_text(settings)
        for name in [each for each in os.environ if each.startswith("TALLYSTICK_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tallystick", *(arguments or ("run", "--port", "0"))])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capfd.readouterr())

    return command


def refused(done: Done, *said: str) -> None:
    """One line on stderr with all of this in it, nothing on stdout, exit 2."""
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1, done.err
    for each in said:
        assert each in done.err


def test_run_without_settings_serves_until_ctrl_c_and_leaves_nothing_even_of_one_that_was_killed(place: Path) -> None:
    with started(place, "server_started", "run", "--port", "0") as killed:
        killed.process.kill()
        killed.process.wait()
    assert postgres_processes(place) != []
    with started(place, "server_started", "run", "--port", "0") as running:
        said = running.said
        url = said.partition(" on ")[2].partition(",")[0]
        assert httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
        assert httpx.get(f"{url}/docs", trust_env=False).status_code == 200
        assert "none, so every order is refused" in said
        assert "there is no API key yet: tallystick keys create NAME --role admin" in said
        assert running.end() == 0
        assert "Traceback" not in running.said
        assert "GET /docs" not in running.said  # no line for every request
    assert postgres_processes(place) == []


def runs_anew(file: Path, killed: int) -> bool:
    """Whether a server says that it runs, another one than that which was killed."""
    said = file.read_text().split() if file.exists() else []
    return bool(said) and int(said[0]) != killed


def test_a_database_that_was_killed_is_started_again_while_everything_runs(place: Path) -> None:
    file = place / "tallystick-data/postgresql/postmaster.pid"
    with (
        started(place, "server_started", "api", "--port", "0") as api,
        started(place, "worker_started", "worker") as worker,
    ):
        ready = f"{api.said.partition(' on ')[2].partition(',')[0]}/health/ready"
        killed = int(file.read_text().split()[0])
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not (runs_anew(file, killed) and httpx.get(ready, trust_env=False).status_code == 200):
            assert time.monotonic() < deadline, "the database did not come back"
            time.sleep(0.1)
        assert (worker.end(), api.end()) == (0, 0)
    assert postgres_processes(place) == []


def test_api_and_worker_run_apart_on_one_database_and_end_on_signals(place: Path) -> None:
    with (
        started(place, "server_started", "api", "--port", "0") as api,
        started(place, "worker_started", "worker") as worker,
    ):
        assert "API without a worker" in api.said
        assert worker.end() == 0
        assert postgres_processes(place) != []
        assert api.end(signal.SIGTERM) == 0
        assert "Traceback" not in api.said + worker.said
    assert postgres_processes(place) == []


def test_sandbox_keeps_its_secrets_and_state_over_a_restart(place: Path) -> None:
    sandbox = (
        "sandbox",
        "--folder",
        str(place / "play"),
        "--first-port",
        "0",
        "--hub-url",
        f"http://127.0.0.1:{free_port()}",
    )
    with started(place, "Ctrl-C stops", *sandbox) as first:
        variables = exported(place / "play/environment")
        settings = (place / "play/tallystick.toml").read_text()
        assert (place / "play/environment").stat().st_mode & 0o077 == 0
        assert not [secret for secret in variables.values() if secret in settings and secret.startswith("whsec_")]
        assert first.end() == 0
    with started(place, "Ctrl-C stops", *sandbox) as again:
        assert exported(place / "play/environment") == variables
        url = (place / "play/tallystick.toml").read_text().partition("[systems.erp]")[2].split('"')[3]
        headers = {"authorization": f"Bearer {variables['TALLYSTICK_SANDBOX_ERP_TOKEN']}"}
        changes = httpx.get(f"{url}/v1/changes", headers=headers, trust_env=False).json()["items"]
        assert "C-100" in {each["key"] for each in changes}
        assert again.end(signal.SIGTERM) == 0


def test_port_in_use_is_one_line(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(start("", "run", "--port", str(port)), f"cannot listen on 127.0.0.1:{port}", "in use", "--port")


def test_host_that_is_not_here_is_one_line(start: Start) -> None:
    refused(start('[server]\nhost = "nowhere.invalid"'), "server: cannot listen on nowhere.invalid")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[server]\nprot = 1", ("tallystick.toml", "server", "'prot'", "did you mean 'port'?")),
        ('[server]\nport = "eighty"', ("tallystick.toml", "server.port", "got 'eighty'")),
        ("[server]\nport = 99999", ("server.port", "65535")),
        ("[server", ("tallystick.toml", "not valid TOML")),
        ('[database]\nurl = { env = "NO_SUCH_URL" }', ("database.url", "NO_SUCH_URL is not set")),
        ('[systems.erp]\nkind = "sap"', ("systems.erp.kind", "unknown kind 'sap'; known are sandbox_crm")),
        ('[systems.erp]\nkind = "sandbox_erp"', ("systems.erp.url", "Field required")),
        (ERP + 'speed = "fast"', ("systems.erp.speed", "Extra inputs are not permitted")),
        ('[entities.default]\nerp = "erp"', ("entities.default names the system 'erp'", "[systems.erp]")),
        (ERP.replace("_erp", "_tax") + '[entities.default]\nerp = "erp"', ("systems.erp: its connector cannot",)),
    ],
)
def test_wrong_setting_is_one_line_that_names_it(settings: str, said: tuple[str, ...], start: Start) -> None:
    refused(start(settings), *said)


@pytest.mark.parametrize("command", [("run", "--port", "0"), ("worker",), ("keys", "list"), ("db", "status")])
def test_database_that_does_not_answer_is_one_line(command: tuple[str, ...], start: Start) -> None:
    url = f"postgresql://tallystick:hush@127.0.0.1:{free_port()}/books"
    done = start("", *command, TALLYSTICK_DATABASE_URL=url)
    refused(done, "TALLYSTICK_DATABASE_URL or database.url: the database does not answer")
    assert "hush" not in done.err


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://here/books", "postgresql:nonsense", "postgresql://host:none/books"]
)
def test_database_address_that_is_none_is_one_line(url: str, start: Start) -> None:
    refused(start("", TALLYSTICK_DATABASE_URL=url), "TALLYSTICK_DATABASE_URL")


def test_database_that_is_not_there_is_one_line(start: Start, database: str) -> None:
    refused(start("", TALLYSTICK_DATABASE_URL=database.replace("tallystick_test", "no_such_books")), "no_such_books")


def test_data_folder_that_cannot_be_written_is_one_line(start: Start, place: Path) -> None:
    (place / "file").write_text("in the way")
    refused(start(f'[database]\ndata_folder = "{place}/file/data"'), "database.data_folder", "did not start")


def test_settings_file_that_is_not_there_is_one_line(start: Start) -> None:
    refused(start("", "run", "-c", "nowhere.toml"), "nowhere.toml: no such settings file")


def test_schema_of_a_newer_version_is_left_alone(start: Start, database: str) -> None:
    async def upgrade_beyond_us() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("update alembic_version set version_num = '9999'")
        await connection.close()

    asyncio.run(upgrade_beyond_us())
    for command in (("run", "--port", "0"), ("db", "upgrade"), ("keys", "list")):
        refused(start("", *command, TALLYSTICK_DATABASE_URL=database), "'9999'", "does not know", "or a newer one")
    status = start("", "db", "status", "--json", TALLYSTICK_DATABASE_URL=database)
    assert (status.code, status.data["current"], status.data["up_to_date"]) == (1, "9999", False)


def test_colour_is_for_terminals_and_not_for_who_wants_none(place: Path) -> None:
    assert "\x1b" not in run(place, "messages", "list").err
    assert "\x1b[31m" in _on_a_terminal(place, TERM="xterm-256color")
    plain = _on_a_terminal(place, TERM="xterm-256color", NO_COLOR="1")
    assert "tallystick: TALLYSTICK_KEY is not set" in plain
    assert "\x1b[31m" not in plain


def _on_a_terminal(place: Path, **variables: str) -> str:
    """What a person sees of a command that is refused."""
    controller, terminal = pty.openpty()
    command = [PROGRAM, "messages", "list"]
    subprocess.run(command, cwd=place, env=environment(**variables), stderr=terminal, stdin=terminal, check=False)
    seen = os.read(controller, 10_000).decode()
    os.close(controller)
    os.close(terminal)
    return seen
