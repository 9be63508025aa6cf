"""One installation for the tests of commands: sandbox, database, API and worker as real processes, and a key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.installations import Done, environment, exported, folder, run, started

from tallystick.cli.program import main
from tallystick.sandbox.loopback import free_port


@dataclass(frozen=True)
class Installation:
    """Where it is, and what a person has in the environment to work with it."""

    folder: Path
    url: str
    variables: dict[str, str]
    key_made: Done
    run_said: str
    sandbox_said: str

    def api(self, path: str) -> Any:
        """What the API itself says, to compare with."""
        headers = {"authorization": f"Bearer {self.variables['TALLYSTICK_KEY']}"}
        answer = httpx.get(f"{self.url}/v1{path}", headers=headers, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def erp(self, path: str, body: dict[str, Any]) -> None:
        """Change something in the sandbox's ERP, as its own users do."""
        headers = {"authorization": f"Bearer {self.variables['TALLYSTICK_SANDBOX_ERP_TOKEN']}"}
        settings = (self.folder / "tallystick-data/sandbox/tallystick.toml").read_text()
        url = settings.partition("[systems.erp]")[2].partition('url = "')[2].partition('"')[0]
        httpx.post(f"{url}{path}", json=body, headers=headers, trust_env=False).raise_for_status()


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    """Started as docs/how-to/command-line.md says; ended with what the tests started."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    sandbox = ("sandbox", "--first-port", "0", "--hub-url", url)
    with folder() as at, started(at, "Ctrl-C stops", *sandbox) as playing:
        variables = exported(at / "tallystick-data/sandbox/environment")
        made = run(at, "keys", "create", "me", "--role", "admin", variables=variables)
        assert made.code == 0, made.err
        with started(at, "server_started", "run", variables=variables) as serving:
            variables |= {"TALLYSTICK_URL": url, "TALLYSTICK_KEY": made.out.strip()}
            yield Installation(at, url, variables, made, serving.said, playing.said)


Command = Callable[..., Done]


@pytest.fixture
def tallystick(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """The program's own entry point, in this process to save its start: `tallystick("orders", "list")`."""
    monkeypatch.chdir(installation.folder)

    def command(*arguments: str, **variables: str) -> Done:
        for name in environment(**(installation.variables | variables)).items():
            monkeypatch.setenv(*name)
        monkeypatch.setattr(sys, "argv", ["tallystick", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return command
