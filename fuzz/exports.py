"""Target: an export of any system, as assessments and reconciliations read it; no row may be lost, whatever its bytes are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzz.target import Target
from tallystick.books.sources import SourceError, Wanted, examine, load, open_engine


def _in_one_line(refusal: Exception) -> None:
    assert str(refusal)
    assert "\n" not in str(refusal)


def _export(data: bytes) -> None:
    """A delimited file, read as text, and its first columns as money and dates."""
    with tempfile.TemporaryDirectory(prefix="tallystick-fuzz-") as folder:
        path = Path(folder) / "export.csv"
        path.write_bytes(data)
        try:
            with examine(path) as source, open_engine() as engine:
                names = [column.name for column in source.columns]
                wanted = dict(
                    zip(names, (Wanted("money"), Wanted("date"), Wanted("text", required=True)), strict=False)
                )
                loaded = load(engine, source, "t", wanted, others="text")
                rows = engine.execute("SELECT count(*) FROM t").fetchall()[0][0]
                listed = engine.execute("SELECT count(*) FROM t_quarantine").fetchall()[0][0]
                assert loaded.rows_in == rows + loaded.quarantined
                assert loaded.quarantined <= listed
        except SourceError as refusal:
            _in_one_line(refusal)


TARGETS = (
    Target(
        "export",
        _export,
        (
            b"amount,day,no\n1.50,2026-01-05,A1\n2,2026-01-06,A2\n",
            "betrag;datum;nr\n1.234,56;31.12.2026;\u00e4\n(5,00);1.1.2026;b\n".encode("cp1252"),
            b'a;b\n"1\n2";x\n3;"y\n',
            "a\tb\r\n1\t2\r\n".encode("utf-16"),
            b"title\n\na,b,\n1,2,\n3\n,,,\n",
            b"a,b\n\xff,1\n\xc3\xbc\xc3\xbc,2\n",
            b"a\n\n1\n\n2",
            b"a,a\r1,2\r3,4\r",
        ),
    ),
)
