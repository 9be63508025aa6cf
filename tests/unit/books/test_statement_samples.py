"""Statements that real banks and other people's test suites wrote: all are read but what is broken on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.books.statements.reader import read_statements
from tallystick.books.statements.statement import StatementError

DATA = Path(__file__).parents[4] / "shared" / "data" / "documents"
SAMPLES = sorted(
    path
    for kind in ("mt940", "camt.053", "camt.054", "bai2")
    for path in (DATA / kind).glob("*")
    if path.name != "SOURCE.txt"
)
# A message without its statement.
BROKEN = {"genkgo__test__data__camt053.v2.wrong.xml": "no statement (Stmt) or notice (Ntfctn)"}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the samples are not beside this repository ({DATA})")


@pytest.mark.parametrize("sample", SAMPLES, ids=[each.name for each in SAMPLES])
def test_sample_is_read_or_refused_for_what_is_broken_in_it(sample: Path) -> None:
    if sample.name in BROKEN:
        with pytest.raises(StatementError, match=BROKEN[sample.name].replace("(", r"\(").replace(")", r"\)")):
            read_statements(sample)
        return
    statements = read_statements(sample)
    assert statements
    assert all(each.account for each in statements)
    assert all(entry.amount or not entry.booked or entry.remittance for each in statements for entry in each.entries)
