"""The engine that reads and joins files: DuckDB in this process, within bounds, without the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


def open_engine(spill: Path | None = None, memory: str | None = None) -> duckdb.DuckDBPyConnection:
    """A new, empty engine. What is larger than `memory` ("4GB") spills into the folder `spill`.

    It loads no extension by itself, for those would come over the network.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if spill is not None:
        config["temp_directory"] = str(spill)
    if memory is not None:
        config["memory_limit"] = memory
    return duckdb.connect(":memory:", config=config)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it Ctrl-C is a KeyboardInterrupt also in the midst of a query, whatever the engine makes of it."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from None
        raise


def identifier(name: str) -> str:
    """A name quoted for SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text quoted for SQL, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"
