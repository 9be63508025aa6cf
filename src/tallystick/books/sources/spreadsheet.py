"""Workbooks (xlsx, xlsm, xlsb, xls, ods): one sheet as text cells, read in Rust; dates come as dates, errors as words."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import duckdb
import fastexcel
import pyarrow

from tallystick.books.sources.choices import Choices
from tallystick.books.sources.columns import read_columns
from tallystick.books.sources.dialect import find_header
from tallystick.books.sources.failure import SourceError
from tallystick.books.sources.source import SourceFile

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_ROWS_FOR_HEADER = 200
_sheets = count(1)


def examine_spreadsheet(connection: duckdb.DuckDBPyConnection, path: Path, said: Choices) -> SourceFile:
    """Layout and columns of the sheet with the most cells, or the one said. Raises SourceError when there is none."""
    try:
        book = fastexcel.read_excel(str(path))
        sheets = {name: book.load_sheet(name, header_row=None, n_rows=0) for name in book.sheet_names}
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{path} is no workbook that can be read: {_first_line(error)}") from error
    if said.sheet is not None and said.sheet not in sheets:
        raise SourceError(f"{path} has no sheet {said.sheet!r}; it has {', '.join(sheets)}")
    name = said.sheet or max(
        sheets, key=lambda each: (sheets[each].visible == "visible", sheets[each].total_height * sheets[each].width)
    )
    table = _cells(book, path, name)
    rows = [[cell or "" for cell in row.values()] for row in table.slice(0, _ROWS_FOR_HEADER).to_pylist()]
    if not any(any(cell.strip() for cell in row) for row in rows):
        raise SourceError(f"{path}: the sheet {name!r} is empty")
    header = find_header(rows, said.header)
    written = rows[header.skip - 1] if header.found else []
    body = table.slice(header.skip).rename_columns(list(header.names))
    relation = f'"tallystick_sheet_{next(_sheets)}"'
    connection.register(relation.strip('"'), body)
    columns = read_columns(connection, relation, header.names, said, written=written)
    connection.unregister(relation.strip('"'))
    notes = [f"sheets not read: {', '.join(each for each in sheets if each != name)}"] if len(sheets) > 1 else []
    return SourceFile(
        path,
        "excel",
        columns,
        relation,
        header.skip + 1,
        {
            "sheet": {
                "value": name,
                "confidence": 1.0 if said.sheet or len(sheets) == 1 else 0.8,
                "evidence": "most cells",
            },
            "header": {
                "value": header.skip if header.found else 0,
                "confidence": header.confidence,
                "evidence": header.evidence,
            },
        },
        tuple(notes),
        arrow=body,
    )


def _cells(book: fastexcel.ExcelReader, path: Path, name: str) -> pyarrow.Table:
    """All cells as text. A formula's error is a value too: it must not pass for an empty cell."""
    try:
        sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        batch, faults = sheet.to_arrow_with_errors()
    except fastexcel.FastExcelError as error:
        raise SourceError(f"{path}: the sheet {name!r} can't be read: {_first_line(error)}") from error
    table = (
        pyarrow.Table.from_batches([batch])
        if batch.num_columns
        else pyarrow.table({"empty": pyarrow.array([], "string")})
    )
    if faults is None:
        return table
    columns = [column.to_pylist() for column in table.columns]
    for fault in faults.errors:
        row, place = fault.offset_position
        columns[place][row] = "#ERROR"
    return pyarrow.table([pyarrow.array(column, "string") for column in columns], names=table.column_names)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
