"""Opening an installation: a system that can't do what its role asks, or a database that is not there, is one line."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.installation import connect_systems, open_flow
from tallystick.settings import SettingsError, parse_settings

SYSTEMS: dict[str, dict[str, Any]] = {
    "erp": {"kind": "sandbox_erp", "url": "http://127.0.0.1:9"},
    "crm": {"kind": "sandbox_crm", "url": "http://127.0.0.1:9"},
    "wms": {"kind": "sandbox_wms", "url": "http://127.0.0.1:9"},
    "tax": {"kind": "sandbox_tax", "url": "http://127.0.0.1:9"},
    "bank": {"kind": "sandbox_payments", "url": "http://127.0.0.1:9"},
}


def line(data: dict[str, Any]) -> str:
    """The line that connecting the systems of these settings ends with."""
    with pytest.raises(SettingsError) as raised:
        connect_systems(parse_settings(data))
    assert "\n" not in str(raised.value)
    return str(raised.value)


async def test_every_system_plays_the_role_that_it_is_made_for() -> None:
    entity = {"erp": "erp", "crm": "crm", "wms": "wms", "tax": "tax", "payments": "bank", "channels": {"shop": "crm"}}
    systems = connect_systems(parse_settings({"systems": SYSTEMS, "entities": {"default": entity}}))
    assert set(systems) == set(SYSTEMS)
    for each in systems.values():
        await each.close()


@pytest.mark.parametrize(
    ("entity", "said"),
    [
        ({"erp": "wms"}, ("systems.wms", "commit_order")),
        ({"tax": "crm"}, ("systems.crm", "calculate_tax")),
        ({"wms": "tax"}, ("systems.tax", "request_shipment")),
        ({"payments": "erp"}, ("systems.erp", "request_payment")),
        ({"crm": "bank"}, ("systems.bank", "publish_status")),
        ({"channels": {"shop": "wms"}}, ("systems.wms", "publish_status")),
    ],
)
def test_system_that_cannot_play_its_role_is_named_with_what_it_cannot(
    entity: dict[str, Any], said: tuple[str, ...]
) -> None:
    found = line({"systems": SYSTEMS, "entities": {"default": entity}})
    for each in said:
        assert each in found


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ({"kind": "sap"}, ("systems.erp.kind", "'sap'", "tryton")),
        ({"kind": "sandbox_erp"}, ("systems.erp.url", "required")),
        ({"kind": "sandbox_erp", "url": "nowhere"}, ("systems.erp.url", "nowhere")),
        ({"kind": "sandbox_erp", "url": "http://127.0.0.1:9", "conections": 4}, ("systems.erp.conections",)),
        ({"kind": "sandbox_erp", "url": "http://127.0.0.1:9", "token": 7}, ("systems.erp.token",)),
    ],
)
def test_connectors_own_settings_are_checked_at_the_start(system: dict[str, Any], said: tuple[str, ...]) -> None:
    found = line({"systems": {"erp": system}})
    for each in said:
        assert each in found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/tallystick",
        "postgresql://me:s3cret@no-such-host.invalid/tallystick",
    ],
)
async def test_database_that_is_not_there_is_one_line_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", url)
    with pytest.raises(SettingsError) as raised:
        async with open_flow(parse_settings({})):
            pass
    assert str(raised.value).startswith("TALLYSTICK_DATABASE_URL or database.url: the database does not answer (")
    assert "\n" not in str(raised.value)
    assert "s3cret" not in str(raised.value)
