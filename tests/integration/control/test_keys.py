"""API keys: shown once, told apart by their hash, and gone within seconds of expiry, revocation or rotation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tallystick.control.keys import Authenticator, create_key, list_keys, read_grant, revoke_key, rotate_key
from tallystick.store.pool import Pool


async def test_a_key_tells_its_principal_and_only_its_hash_is_kept(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await create_key(connection, "mary", ["finance"], ["east"], scopes=["exceptions.read"])
        kept = str(await connection.fetch("select * from api_keys")) + str(await list_keys(connection))
    assert made.secret not in kept
    assert made.secret not in repr(made)
    found = await Authenticator(pool).authenticate(made.secret)
    assert found is not None
    assert (found.name, sorted(found.entities), sorted(found.permissions)) == ("mary", ["east"], ["exceptions.read"])


async def test_wrong_malformed_and_foreign_secrets_are_nobodys(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await create_key(connection, "mary", ["finance"])
    authenticator = Authenticator(pool)
    wrong = (
        made.secret[:-1] + "!",
        made.secret + "x",
        "",
        "tsk",
        "tsk_",
        f"tsk_{made.id}_",
        f"abc_{made.id}_x",
        "\ud800",
    )
    for secret in wrong:
        assert await authenticator.authenticate(secret) is None


async def test_an_expired_key_ends_at_its_moment_even_while_its_answer_is_remembered(pool: Pool) -> None:
    async with pool.acquire() as connection:
        expires = datetime.now(UTC) + timedelta(seconds=0.4)
        made = await create_key(connection, "mary", ["finance"], expires_at=expires)
    authenticator = Authenticator(pool)
    assert await authenticator.authenticate(made.secret) is not None
    async with pool.acquire() as connection:
        await connection.execute("select pg_sleep(0.5)")
    assert await authenticator.authenticate(made.secret) is None


async def test_a_revoked_key_is_nobodys_for_who_asks_anew(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await create_key(connection, "mary", ["finance"], ["east"])
        assert not await revoke_key(connection, made.id, ["west"])
        assert await revoke_key(connection, made.id, ["east"])
        assert not await revoke_key(connection, made.id)
    assert await Authenticator(pool).authenticate(made.secret) is None


async def test_rotation_hands_over_with_an_overlap_or_at_once(pool: Pool) -> None:
    async with pool.acquire() as connection:
        made = await create_key(connection, "mary", ["finance"], scopes=["audit.read"])
        second = await rotate_key(connection, made.id, overlap_seconds=60)
        assert second is not None
        third = await rotate_key(connection, second.id)
        assert third is not None
        assert await rotate_key(connection, second.id) is None
    found = [await Authenticator(pool).authenticate(each.secret) for each in (made, second, third)]
    assert [each.name if each else None for each in found] == ["mary", None, "mary"]
    assert found[2] is not None
    assert found[2].scopes == frozenset({"audit.read"})


async def test_unknown_roles_scopes_and_no_entities_are_refused(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for roles, entities, scopes in (
            (["boss"], ["*"], None),
            ([], ["*"], None),
            (["sales"], [], None),
            (["sales"], ["*"], ["all"]),
        ):
            with pytest.raises(ValueError, match=r"^(roles|entities|scopes): "):
                await create_key(connection, "mary", roles, entities, scopes=scopes)
        assert await read_grant(connection, "mary") is None
