"""What is measured, row by row. A new measurement is one file with its targets, and its line here."""

from __future__ import annotations

from collections.abc import Mapping

from bench import batch, books, cash, flow, history, idle, intake, mailbox, memory, news, scaling, transactions
from bench.row import Measure

ROWS: Mapping[str, Measure] = {
    "intake": intake.row,
    "batch": batch.row,
    "mailbox": mailbox.row_of_one,
    "mailbox-3": mailbox.row_of_three,
    "flow": flow.row,
    "history": history.row,
    "workers": scaling.row,
    "idle": idle.row,
    "memory": memory.row,
    "news": news.row,
    "transactions": transactions.row,
    "books": books.row,
    "books-csv": books.row_of_csv,
    "books-20m": books.row_of_twenty_million,
    "cash": cash.row,
}
