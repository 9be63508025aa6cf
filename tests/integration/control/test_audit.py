"""The audit trail: written with the act or not at all, read by whoever may, newest first."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tallystick.control.audit import AuditEntry, read_audit, write_audit
from tallystick.store.pool import Pool


async def test_an_act_that_is_undone_leaves_no_entry(pool: Pool) -> None:
    async with pool.acquire() as connection:
        act = connection.transaction()
        await act.start()
        await write_audit(connection, [AuditEntry("mary", "system.pause", "system", "erp")])
        assert len(await read_audit(connection, None)) == 1
        await act.rollback()
        assert await read_audit(connection, None) == []


async def test_entries_are_found_by_who_what_which_and_transaction(pool: Pool) -> None:
    transaction_id = uuid4()
    entries = [
        AuditEntry(
            "mary", "exception.override", "exception", "E-1", "east", transaction_id, "agreed", {"codes": ["a"]}
        ),
        AuditEntry("john", "message.replay", "message", "M-1", "west"),
        AuditEntry("mary", "system.pause", "system", "erp"),
    ]
    async with pool.acquire() as connection:
        await write_audit(connection, entries)

        async def found(entities: list[str] | None = None, **wanted: Any) -> list[str]:
            return [each["object_id"] for each in await read_audit(connection, entities, **wanted)]

        assert await found() == ["erp", "M-1", "E-1"]
        assert await found(principal="mary") == ["erp", "E-1"]
        assert await found(action="message.replay") == ["M-1"]
        assert await found(object_id="E-1") == await found(transaction_id=transaction_id) == ["E-1"]
        assert await found(["east"]) == ["E-1"]
        newest = (await read_audit(connection, None, limit=1))[0]
        assert await found(before=newest["id"]) == ["M-1", "E-1"]
        [told] = await read_audit(connection, ["east"])
        assert (told["reason"], told["detail"]) == ("agreed", {"codes": ["a"]})
