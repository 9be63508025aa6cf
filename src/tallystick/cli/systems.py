"""`tallystick systems`: the connected systems, how they are, and stopping deliveries to one."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tallystick.cli.application import OPERATE, app
from tallystick.cli.hub import DEFAULT_URL, Url, open_hub
from tallystick.cli.terminal import AsJson, instant, print_items, print_json, print_record

commands = typer.Typer(help="The connected systems.", no_args_is_help=True)
app.add_typer(commands, name="systems", rich_help_panel=OPERATE)
Name = Annotated[str, typer.Argument(help="Its name in the settings, such as erp.")]


@commands.command("list")
def list_all(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the connected systems with their roles and what the workers know of them."""
    with open_hub(url) as hub:
        items = hub.get("/systems")["items"]
    print_items(
        items,
        False,
        as_json,
        ("system", "kind", "roles", "entities", "owner", "state", "last failure"),
        lambda each: (
            each["name"],
            each["kind"],
            ", ".join(each["roles"]),
            ", ".join(each["entities"]),
            each["owner"],
            _state(each["state"]),
            (each["state"] or {}).get("last_failure"),
        ),
    )


@commands.command()
def show(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one system and ask it whether it answers; exit 1 when it does not."""
    with open_hub(url) as hub:
        found = hub.get(f"/systems/{quote(name, safe='')}")
    health = found["health"]
    if as_json:
        print_json(found)
    else:
        state = found["state"] or {}
        print_record(
            {
                "system": found["name"],
                "kind": found["kind"],
                "roles": ", ".join(found["roles"]),
                "entities": ", ".join(found["entities"]),
                "owner": found["owner"],
                "answers": health and f"{'yes' if health['ok'] else 'no'}, in {health['latency_ms']:.0f} ms",
                "it says": health and health["detail"],
                "state": _state(found["state"]),
                "last success": instant(state.get("last_success_at")),
                "last failure": instant(state.get("last_failure_at")),
                "failure": state.get("last_failure"),
            }
        )
    raise typer.Exit(0 if health and health["ok"] else 1)


@commands.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; others see it, and it stands in the audit trail.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Stop deliveries to a system. Its messages wait; nothing is lost and no attempt is burnt.

    Example: `tallystick systems pause erp --reason "month-end closing"`
    """
    _set(url, name, "pause", {"reason": reason}, as_json)


@commands.command()
def resume(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let deliveries flow again, and give an open breaker a fresh start."""
    _set(url, name, "resume", {}, as_json)


def _set(url: str, name: str, action: str, body: dict[str, Any], as_json: bool) -> None:
    with open_hub(url) as hub:
        answer = hub.post(f"/systems/{quote(name, safe='')}:{action}", body)
    if as_json:
        print_json(answer)
    else:
        now = "paused" if answer["paused"] else "running"
        print_record({answer["name"]: now if answer["changed"] else f"{now}, as before"})


def _state(state: dict[str, Any] | None) -> str:
    if not state:
        return "not used yet"
    if state["paused"]:
        return f"paused by {state['paused_by']}: {state['paused_reason']}"
    return "running" if state["breaker"] == "closed" else f"breaker {state['breaker'].replace('_', ' ')}"
