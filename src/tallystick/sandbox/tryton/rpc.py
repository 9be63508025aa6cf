"""A plain client of Tryton's JSON-RPC for setting a server up: one call after another, any refusal ends it."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx


class TrytonRefusalError(Exception):
    """Tryton refused a call; the message holds its own words."""


def to_wire(value: Any) -> Any:
    """What JSON has no word for, as Tryton's JSON-RPC writes it. Raises TypeError for anything else."""
    match value:
        case bytes():
            return {"__class__": "bytes", "base64": base64.b64encode(value).decode()}
        case Decimal():
            return {"__class__": "Decimal", "decimal": str(value)}
        case datetime():
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
        case date():
            return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
        case _:
            raise TypeError(f"{type(value).__name__} has no form in Tryton's JSON-RPC")


def from_wire(found: dict[str, Any]) -> Any:
    """The value that a JSON object of Tryton's stands for."""
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"])
        case "datetime":
            # Tryton's are UTC without saying so.
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(*(found[part] for part in parts))  # noqa: DTZ001 - as Tryton means it
        case _:
            return found


class TrytonClient:
    """A signed-in session; use it as `with`. Calls are `client("model.party.party.create", [...])`."""

    def __init__(self, url: str, database: str, user: str, password: str, *, timeout: float = 300.0) -> None:
        self._client = httpx.Client(timeout=timeout, trust_env=False)
        self._url = f"{url}/{database}/rpc/"
        user_id, session = self._post("common.db.login", [user, {"password": password}, "en"], {})[:2]
        signed = base64.b64encode(f"{user}:{user_id}:{session}".encode()).decode()
        self._client.headers["authorization"] = f"Session {signed}"
        self.context: dict[str, Any] = {}
        self.refresh_context()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def refresh_context(self) -> None:
        """Act for the user's company, once it has one."""
        preferences = self("model.res.user.get_preferences", True)
        company = preferences.get("company")
        self.context = {"language": "en", **({"company": company, "companies": [company]} if company else {})}

    def __call__(self, method: str, *arguments: Any) -> Any:
        """One call in the user's context. Raises TrytonRefusalError."""
        return self._post(method, [*arguments, self.context], {})

    def search(
        self, model: str, domain: list[Any], fields: list[str], limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Records of a model as plain data."""
        found: list[dict[str, Any]] = self(f"model.{model}.search_read", domain, 0, limit, None, fields)
        return found

    def _post(self, method: str, parameters: list[Any], headers: dict[str, str]) -> Any:
        content = json.dumps({"id": 1, "method": method, "params": parameters}, default=to_wire)
        response = self._client.post(
            self._url, content=content, headers={"content-type": "application/json", **headers}
        )
        if response.status_code != 200:
            raise TrytonRefusalError(f"{method}: status {response.status_code}: {response.text[:500]}")
        answer = json.loads(response.text, object_hook=from_wire)
        if isinstance(answer, dict) and answer.get("error"):
            raise TrytonRefusalError(f"{method}: {str(answer['error'])[:1000]}")
        return answer["result"] if isinstance(answer, dict) and "result" in answer else answer
