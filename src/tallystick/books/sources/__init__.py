"""Reading of exports: any CSV, Parquet or spreadsheet becomes a table of the engine, and no row is lost on the way.

`examine` finds out how a file is laid out and says how sure it is; `load` reads all of it and sets aside what can't be read.
"""

from tallystick.books.sources.choices import Choices
from tallystick.books.sources.engine import open_engine
from tallystick.books.sources.examination import examine
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.loading import FILE_COLUMN, ID_COLUMN, ROW_COLUMN, Loaded, QuarantinedValue, load
from tallystick.books.sources.source import Column, Source
from tallystick.books.sources.values import Wanted

__all__ = [
    "FILE_COLUMN",
    "ID_COLUMN",
    "ROW_COLUMN",
    "Choices",
    "Column",
    "Loaded",
    "QuarantinedValue",
    "Source",
    "SourceError",
    "Wanted",
    "examine",
    "load",
    "open_engine",
]
