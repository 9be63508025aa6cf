"""The engine that reads and joins files: DuckDB in this process, within bounds, without the network."""

from __future__ import annotations

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


def identifier(name: str) -> str:
    """A name quoted for SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text quoted for SQL, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"
