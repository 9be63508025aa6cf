"""What a file or a pattern of files is, found out on a sample: the first half of reading it."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from tallystick.books.sources.choices import NOTHING_SAID, Choices
from tallystick.books.sources.columns import read_columns
from tallystick.books.sources.delimited import examine_delimited
from tallystick.books.sources.engine import literal, open_engine
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.source import Column, Source, SourceFile
from tallystick.books.sources.spreadsheet import SUFFIXES, examine_spreadsheet

_PARQUET = (".parquet", ".pq")


def examine(location: str | Path, said: Choices = NOTHING_SAID) -> Source:
    """Find out how a file, or the files of a pattern such as `orders-*.csv`, are laid out. Only a sample is read.

    Raises SourceError when there is no file, one is empty or can't be read as what its name says, or their columns differ.
    """
    paths = _paths(str(location))
    folder = TemporaryDirectory(prefix="tallystick-source-")
    try:
        with open_engine() as connection:
            files = [_examine_one(connection, path, said, Path(folder.name)) for path in paths]
        _same_columns(files)
        return Source(str(location), _in_one_way(files), folder)
    except BaseException:
        folder.cleanup()
        raise


def _paths(location: str) -> list[Path]:
    if Path(location).is_dir():
        raise SourceError(f"{location} is a folder; name its files, as in '{location}/*.csv'")
    if Path(location).exists():
        return [Path(location)]
    found = sorted(path for each in glob.glob(location, recursive=True) if (path := Path(each)).is_file())
    if not found:
        raise SourceError(f"there is no file {location}")
    return found


def _examine_one(connection: duckdb.DuckDBPyConnection, path: Path, said: Choices, folder: Path) -> SourceFile:
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty")
    try:
        if suffix in _PARQUET:
            return _examine_parquet(connection, path, said)
        if suffix in SUFFIXES:
            return examine_spreadsheet(connection, path, said)
        part = folder / str(len(list(folder.iterdir())))
        part.mkdir()
        return examine_delimited(connection, path, said, part)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise SourceError(f"{path} can't be read: {str(error).partition(chr(10))[0]}") from error
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}") from error


def _examine_parquet(connection: duckdb.DuckDBPyConnection, path: Path, said: Choices) -> SourceFile:
    relation = f"read_parquet({literal(str(path))})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    names, natives = [str(row[0]) for row in described], [str(row[1]) for row in described]
    columns = read_columns(connection, relation, names, said, natives=natives)
    return SourceFile(path, "parquet", columns, relation, 1, {})


def _same_columns(files: list[SourceFile]) -> None:
    expected = {column.name.casefold() for column in files[0].columns}
    for file in files[1:]:
        here = {column.name.casefold() for column in file.columns}
        if missing := sorted(expected - here):
            raise SourceError(f"{file.path} has no column {missing[0]!r}, which {files[0].path} has")


def _in_one_way(files: list[SourceFile]) -> list[SourceFile]:
    """The files with what only some of their samples could tell carried over to those that could not."""
    told: dict[str, Column] = {}
    for file in files:
        for column in file.columns:
            if (column.date and not column.date.ambiguous) or (column.number and not column.number.ambiguous):
                told.setdefault(column.name.casefold(), column)
    return [
        replace(file, columns=tuple(_as_told(column, told.get(column.name.casefold())) for column in file.columns))
        for file in files
    ]


def _as_told(column: Column, sure: Column | None) -> Column:
    if sure is None:
        return column
    if column.date and column.date.ambiguous and sure.date and sure.date.pattern:
        return replace(column, date=sure.date)
    if column.number and column.number.ambiguous and sure.number:
        return replace(column, number=replace(sure.number, sign=column.number.sign))
    return column
