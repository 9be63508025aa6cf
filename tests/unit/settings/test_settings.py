"""Settings: every mistake is one line that names file, setting and value and says what to do; secrets are never shown."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog

from tallystick.logs import configure_logs
from tallystick.settings import Settings, SettingsError, load_settings, parse_settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WMS: dict[str, Any] = {"kind": "sandbox_wms", "event_source": "/systems/wms", "event_secret": SECRET}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TALLYSTICK_SETTINGS", "TALLYSTICK_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def mistake(data: dict[str, Any]) -> str:
    """The line that settings given as data end with."""
    with pytest.raises(SettingsError) as raised:
        parse_settings(data)
    return str(raised.value)


def entity(**policy: Any) -> dict[str, Any]:
    return {"systems": {"erp": {"kind": "sandbox_erp"}}, "entities": {"default": {"policy": policy}}}


def test_nothing_said_is_a_working_default() -> None:
    found = load_settings()
    assert found == Settings()
    assert found.database.url is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"server": {"port": 70_000}}, ("server.port", "65535", "70000")),
        ({"server": {"port": "eighty"}}, ("server.port", "integer", "'eighty'")),
        ({"server": {"prot": 80}}, ("server", "'prot'", "did you mean 'port'?")),
        ({"database": {"speed": 1}}, ("database", "'speed'", "known are url, data_folder, pool_size")),
        ({"sever": {}}, ("settings", "'sever'", "did you mean 'server'?")),
        ({"server": 8080}, ("server", "8080")),
        ({"database": 5}, ("database", "5")),
        (
            {"database": {"url": "mysql://db/tallystick"}},
            ("database: url", "names no PostgreSQL", "write postgresql://"),
        ),
        ({"database": {"url": "postgresql://db:port/tallystick"}}, ("database: url", "TALLYSTICK_DATABASE_URL")),
        ({"worker": {"batch_size": 0}}, ("worker.batch_size", "greater than or equal to 1", "0")),
        ({"server": {"requests_per_second": float("inf")}}, ("server.requests_per_second", "finite", "inf")),
        ({"retention": {"audit_days": 1.5}}, ("retention.audit_days", "1.5")),
        ({"systems": {"erp": {}}}, ("systems.erp.kind", "required")),
        ({"systems": {"erp": {"kind": "x", "calls_per_second": -1}}}, ("systems.erp.calls_per_second", "-1")),
        ({"entities": {"east": {"erp": "sap"}}}, ("entities.east", "'sap'", "[systems.sap]")),
        (entity(price={"source": "guess"}), ("entities.default.policy.price.source", "'guess'", "'live' or 'replica'")),
        (entity(backorders="maybe"), ("entities.default.policy.backorders", "'maybe'", "'allow', 'hold' or 'reject'")),
        (entity(price_tolerance=1.5), ("entities.default.policy.price_tolerance", "1.5")),
        (entity(disabled_checks=["prise"]), ("entities.default.policy.disabled_checks", "'prise'", "'price'")),
        (entity(decisions={"prise.above": "hold"}), ("entities.default.policy", "'prise.above'", "reason code")),
        (entity(decisions={"price.above_list": "perhaps"}), ("price.above_list", "'perhaps'", "'hold'")),
        ({"systems": {"wms": WMS, "erp": {**WMS, "kind": "sandbox_erp"}}}, ("systems.erp.event_source", "'wms'")),
        ({"systems": {"wms": {"kind": "x", "event_source": "/a"}}}, ("systems.wms", "event_secret")),
    ],
)
def test_mistake_is_one_line_with_file_setting_value_and_what_would_be_right(
    data: dict[str, Any], said: tuple[str, ...]
) -> None:
    line = mistake(data)
    assert line.startswith("tallystick.toml: ")
    assert "\n" not in line
    for each in said:
        assert each in line


@pytest.mark.parametrize("code", ["customer.unknown", "price.above_list", "product.unknown", "inventory.insufficient"])
def test_policy_decides_about_the_reasons_of_every_check(code: str) -> None:
    policy = parse_settings(entity(decisions={code: "hold"})).entities["default"].policy
    assert policy.decisions == {code: "hold"}


@pytest.mark.parametrize("name", ["erp:main", "erp/eu", "", "e" * 65, "erp main"])
@pytest.mark.parametrize("section", ["systems", "entities"])
def test_name_that_no_address_could_have_is_refused(section: str, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{section}: .* is no name; letters, digits"):
        parse_settings({section: {name: {"kind": "tryton"} if section == "systems" else {"erp": "erp"}}})


def test_further_mistakes_are_counted() -> None:
    assert mistake({"server": {"port": -1, "host": 7}, "worker": {"batch_size": 0}}).endswith("; and 2 more")


def test_long_value_is_shortened() -> None:
    assert len(mistake({"server": {"port": "9" * 5_000}})) < 300


def test_secret_comes_from_the_environment_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_TOKEN", "s3cret")
    options = {"token": {"env": "ERP_TOKEN"}, "mirrors": [{"token": {"env": "ERP_TOKEN"}}]}
    found = parse_settings({"systems": {"erp": {"kind": "sandbox_erp", **options}}}).systems["erp"].options
    assert found["token"].get_secret_value() == "s3cret"
    assert found["mirrors"][0]["token"].get_secret_value() == "s3cret"


def test_unset_variable_is_named_with_its_setting() -> None:
    line = mistake({"systems": {"erp": {"kind": "x", "token": {"env": "NO_SUCH_VARIABLE"}}}})
    assert "systems.erp.token" in line
    assert "NO_SUCH_VARIABLE is not set; export it" in line


def test_variable_without_a_name_is_told_how_to_write_it() -> None:
    assert 'database.url: write {env = "NAME"}' in mistake({"database": {"url": {"env": 3}}})


def test_secrets_are_in_no_repr_dump_or_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_TOKEN", "s3cret")
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", "postgresql://me:pa55word@db/tallystick")
    found = parse_settings(
        {"systems": {"wms": WMS, "erp": {"kind": "sandbox_erp", "token": {"env": "ERP_TOKEN"}}}},
    )
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(json=True)
    structlog.get_logger("test").warning("started", settings=found, options=found.systems["erp"].options)
    structlog.reset_defaults()
    shown = (repr(found), str(found.model_dump()), found.model_dump_json(), stream.getvalue())
    assert "started" in shown[-1]
    for text in shown:
        assert not [each for each in ("s3cret", "pa55word", SECRET) if each in text]


@pytest.mark.parametrize(
    "data",
    [
        {"server": {"port": {"env": "HIDDEN"}}},
        {"database": {"pasword": "s3cret"}},
        {"database": {"url": ["postgresql://me:s3cret@db"]}},
        {"database": {"url": "mysql://me:s3cret@db"}},
        {"database": {"url": "s3cret"}},
        {"systems": {"wms": WMS | {"event_secret": "s3cret"}}},
        {"systems": {"wms": WMS | {"event_secret": {"env": "HIDDEN"}}}},
        {"systems": {"wms": {"kind": "x", "event_secret": "s3cret"}}},
    ],
)
def test_secrets_are_in_no_error(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "s3cret")
    with pytest.raises(SettingsError) as raised:
        parse_settings(data)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None  # what a traceback would show
    assert raised.value.__suppress_context__


def test_databases_url_in_the_environment_goes_before_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"database": {"url": "postgresql://file/one", "pool_size": 4}}
    assert _url(parse_settings(data)) == "postgresql://file/one"
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", "postgresql://environment/two")
    found = parse_settings(data)
    assert (_url(found), found.database.pool_size) == ("postgresql://environment/two", 4)
    assert _url(load_settings()) == "postgresql://environment/two"
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", "")
    assert _url(parse_settings(data)) == "postgresql://file/one"


def _url(settings: Settings) -> str | None:
    return settings.database.url.get_secret_value() if settings.database.url else None


def test_file_is_the_named_one_then_the_environments_then_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, port in (("tallystick.toml", 1), ("environment.toml", 2), ("named.toml", 3)):
        (tmp_path / name).write_text(f"[server]\nport = {port}\n")
    assert load_settings().server.port == 1
    monkeypatch.setenv("TALLYSTICK_SETTINGS", "environment.toml")
    assert load_settings().server.port == 2
    assert load_settings(Path("named.toml")).server.port == 3


def test_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^elsewhere\.toml: no such settings file"):
        load_settings(Path("elsewhere.toml"))
    monkeypatch.setenv("TALLYSTICK_SETTINGS", "gone.toml")
    with pytest.raises(SettingsError, match=r"^gone\.toml: no such settings file"):
        load_settings()


@pytest.mark.parametrize("content", [b"[server\n", b"port = = 1", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_file_that_is_not_toml_is_one_line_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tallystick.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^tallystick\.toml: not valid TOML: [^\n]+$"):
        load_settings()


def test_folder_in_the_files_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r": the settings can't be read: [^\n]+$"):
        load_settings(tmp_path)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]  # what is refused


@pytest.mark.parametrize("as_json", [True, False])
def test_logged_exception_shows_its_line_and_never_its_variables(
    as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(json=as_json)
    password = "pa55" + "word"
    try:
        raise ConnectionError(f"no connection with a password of {len(password)} characters")
    except ConnectionError as error:
        structlog.get_logger("test").error("failed", exc_info=error)
    structlog.reset_defaults()
    assert "no connection with a password of 8 characters" in stream.getvalue()
    assert password not in stream.getvalue()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_logs_are_kept_from_their_level_on(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(level=level, json=True)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("test"), each)(each)
    structlog.reset_defaults()
    kept = [line for line in ("debug", "info", "warning", "error") if f'"event": "{line}"' in stream.getvalue()]
    numbers = logging.getLevelNamesMapping()
    wanted = [each for each in ("debug", "info", "warning", "error") if numbers[each.upper()] >= numbers[level.upper()]]
    assert kept == wanted
