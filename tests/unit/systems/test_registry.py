"""The registry makes connectors by their kind, finds those of installed packages, and refuses the rest in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.settings import SettingsError
from tallystick.systems.ports import Operation
from tallystick.systems.registry import BUILT_IN, connect, kinds, require

WEB = {"url": "http://127.0.0.1:9/"}
CONNECTOR = """
from tallystick.systems.ports import Capabilities, Health, Operation, Role


class Acme:
    def __init__(self, name, options):
        if "region" not in options:
            raise ValueError("region: Acme has one database a region;\\nname yours")
        self.name = name
        self.capabilities = Capabilities(frozenset({Role.CRM}), frozenset({Operation.PUBLISH_STATUS}))

    async def check_health(self):
        return Health(ok=True, latency_ms=0.0)

    async def close(self):
        pass


def nothing(name, options):
    return None
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with connectors, as an installer leaves it: the module, and its entry points in a dist-info folder."""
    (tmp_path / "acme_crm.py").write_text(CONNECTOR)
    metadata = tmp_path / "acme_crm-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crm\nVersion: 1.0\n")
    entries = {"acme": "acme_crm:Acme", "acme_empty": "acme_crm:nothing", "acme_gone": "acme_crm:Missing"}
    entries |= {"acme_broken": "acme_crm_of_another_name:Acme", "tryton": "acme_crm:Acme"}
    lines = [f"{kind} = {value}" for kind, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[tallystick.systems]", *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)


def refusal(kind: str, **options: object) -> str:
    """The one line in which such a system is refused."""
    with pytest.raises(SettingsError) as refused:
        connect("shop", kind, options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kind", sorted(BUILT_IN))
async def test_every_built_in_kind_makes_a_connector_of_its_name(kind: str) -> None:
    database = {"database": "erp", "user": "hub", "password": "geheim"} if kind == "tryton" else {}
    system = connect("mine", kind, WEB | database)
    assert system.name == "mine"
    assert system.capabilities.operations
    await system.close()


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    assert refusal("sap") == f"systems.shop.kind: unknown kind 'sap'; known are {', '.join(sorted(BUILT_IN))}"


def test_a_missing_option_is_named() -> None:
    assert refusal("sandbox_crm") == "systems.shop.url: Field required"


def test_a_wrong_option_is_named_with_its_value_and_how_many_more_there_are() -> None:
    said = refusal("sandbox_crm", **WEB, batch_size=0, concurrency=1_000)
    assert said.startswith("systems.shop.concurrency: Input should be less than or equal to 64 (got 1000)")
    assert said.endswith("; and 1 more")


def test_an_option_that_does_not_exist_is_named() -> None:
    assert refusal("sandbox_crm", **WEB, tokn="x").startswith("systems.shop.tokn: Extra inputs are not permitted")


def test_a_secret_is_never_shown() -> None:
    assert "geheim" not in refusal("sandbox_crm", **WEB, token=["geheim"])


def test_a_connector_that_cannot_do_what_is_needed_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        require(connect("shop", "sandbox_crm", WEB), [Operation.PUBLISH_STATUS, Operation.COMMIT_ORDER])
    assert str(refused.value) == (
        "systems.shop: its connector cannot commit_order (it can publish_status); "
        "name another system for this role in [entities], or another kind"
    )
    require(connect("shop", "sandbox_crm", WEB), [Operation.PUBLISH_STATUS])


@pytest.mark.usefixtures("installed")
def test_an_installed_packages_connector_is_found_by_its_kind() -> None:
    assert {"acme", *BUILT_IN} <= set(kinds())
    system = connect("shop", "acme", {"region": "eu"})
    assert system.name == "shop"
    require(system, [Operation.PUBLISH_STATUS])


@pytest.mark.usefixtures("installed")
def test_what_an_installed_connector_says_of_its_options_is_one_line() -> None:
    assert refusal("acme") == "systems.shop: region: Acme has one database a region; name yours"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("acme_gone", "systems.shop.kind: 'acme_gone' comes from acme_crm:Missing, which cannot be loaded: "),
        ("acme_broken", "systems.shop.kind: 'acme_broken' comes from acme_crm_of_another_name:Acme, which cannot be "),
        ("acme_empty", "systems.shop.kind: the factory of 'acme_empty' made a NoneType, which is no System"),
        ("tryton", "systems.shop.kind: 'tryton' is registered more than once (acme_crm:Acme)"),
    ],
)
def test_a_package_that_is_wrong_is_named(kind: str, said: str) -> None:
    assert refusal(kind, region="eu").startswith(said)
