"""Which lines of some files are new, which came before, and which may have: in the database, in another file, in the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.books.cash.received import FileReceived, Received, account_key
from tallystick.books.cash.twins import Likeness, Line, pair


def sort_out(
    received: Sequence[tuple[Received, FileReceived]], known: set[tuple[str, str]], before: dict[str, list[Line]]
) -> tuple[list[tuple[Received, FileReceived]], list[Received]]:
    """The new lines, with the doubts there are, and those that came before.

    `known` has the (account key, identity) of lines received before, `before` lines of the same days and amounts by account key;
    both are added to.
    """
    fresh: list[tuple[Received, FileReceived]] = []
    repeated: list[Received] = []
    files = list(dict.fromkeys(file for _, file in received))
    for file in files:
        mine = [each for each, of in received if of == file]
        new: dict[str, list[Received]] = {}
        for each in mine:
            key = (account_key(each.statement.account), each.identity)
            if key in known:
                repeated.append(each)
            else:
                known.add(key)
                new.setdefault(key[0], []).append(each)
        for account, candidates in new.items():
            mine_lines = [_line(each, file) for each in candidates]
            pairs = pair(mine_lines, before.get(account, ()))
            for each, found in zip(candidates, pairs, strict=True):
                if found is not None and found[0] is Likeness.SAME:
                    repeated.append(each)
                elif found is not None:
                    doubt = (
                        f"it may be the line of that amount and day in statement {found[1].statement}, received before"
                    )
                    fresh.append((replace(each, payment=replace(each.payment, doubt=doubt)), file))
                else:
                    fresh.append((each, file))
            before.setdefault(account, []).extend(mine_lines)
    return fresh, repeated


def _line(received: Received, file: FileReceived) -> Line:
    entry = received.entry
    said = (entry.payer_reference, entry.remittance, entry.counterparty)
    return Line(
        booked_on=entry.booked_on,
        amount=entry.amount,
        currency=entry.currency,
        format=received.statement.format,
        file_hash=file.hash,
        bank_reference=entry.bank_reference,
        payer_reference=entry.payer_reference,
        text=" ".join(filter(None, said)),
        payer_account=entry.counterparty_account,
        statement=received.statement.number,
    )
