"""The sample settings file: it names every setting, with its true default, and is what `tallystick init` writes."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tallystick.cli.program import main
from tallystick.settings import Entity, FactsPolicy, Policy, Settings, SystemSettings, load_settings

SAMPLE = (files("tallystick.cli") / "example.toml").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[3]
# They stand in the sample as examples, not with their default, which is none.
_EXAMPLES = {"url", "tax", "wms", "payments", "crm", "channels", "owner", "poll_seconds", "calls_per_second", "kind"}
_EXAMPLES |= {"event_source", "event_secret", "erp"}


def uncommented(text: str) -> dict[str, Any]:
    """The sample with everything in force."""
    return tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))


@pytest.fixture
def everything() -> dict[str, Any]:
    return uncommented(SAMPLE)


def _check(section: dict[str, Any], model: type[BaseModel], tables: set[str]) -> None:
    fields = set(model.model_fields) - tables
    assert fields <= set(section), f"the sample says nothing of {fields - set(section)}"
    plain = {name: section[name] for name in fields - _EXAMPLES}
    defaults = model.model_construct().model_dump(mode="json")
    assert plain == {name: defaults[name] for name in plain}


def test_sample_names_every_setting_with_its_default(everything: dict[str, Any]) -> None:
    for name in ("database", "server", "worker", "retention"):
        _check(everything[name], Settings.model_fields[name].annotation, set())  # type: ignore[arg-type]  # every section has an annotation
    assert set(everything) == set(Settings.model_fields)
    entity = everything["entities"]["default"]
    _check(entity, Entity, {"policy"})
    _check(entity["policy"], Policy, {"customer", "price", "tax", "inventory", "credit"})
    _check(entity["policy"]["price"], FactsPolicy, set())
    mentioned = everything["systems"]["erp"] | everything["systems"]["wms"]
    assert set(SystemSettings.model_fields) <= set(mentioned)


def test_init_writes_the_sample_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tallystick", "init"])
    with pytest.raises(SystemExit) as first:
        main()
    assert first.value.code == 0
    assert (tmp_path / "tallystick.toml").read_text() == SAMPLE
    (tmp_path / "tallystick.toml").write_text("mine")
    with pytest.raises(SystemExit) as second:
        main()
    assert second.value.code == 1
    assert (tmp_path / "tallystick.toml").read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


def test_sample_is_valid_once_its_secrets_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYSTICK_DATABASE_URL", raising=False)
    file = tmp_path / "tallystick.toml"
    file.write_text(SAMPLE)
    monkeypatch.setenv("TRYTON_PASSWORD", "x")
    assert set(load_settings(file).entities) == {"default"}


def test_docs_show_the_same_sample() -> None:
    assert (ROOT / "docs/examples/tallystick.toml").read_text(encoding="utf-8") == SAMPLE
