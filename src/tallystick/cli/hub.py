"""The running Tallystick that commands talk to, over its HTTP API, so that access control and audit hold for them too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import typer

import tallystick
from tallystick.cli.failure import CommandFailed, NoAnswer, Refused, WrongUse

URL_VARIABLE, KEY_VARIABLE = "TALLYSTICK_URL", "TALLYSTICK_KEY"
DEFAULT_URL = "http://127.0.0.1:8080"
Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar=URL_VARIABLE,
        help=f"The running Tallystick. The API key comes from {KEY_VARIABLE}.",
        show_default=True,
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="The most to show.")]
Version = Annotated[
    int | None,
    typer.Option(
        "--if-version", min=1, help="Only if it is still at the version that you saw; default: the one it has now."
    ),
]
TransactionName = Annotated[
    str, typer.Argument(metavar="TRANSACTION", help="Its id, or an order number or reference that only it has.")
]
_TIMEOUT = httpx.Timeout(90, connect=5)
_PAGE = 200
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Hub:
    """One caller's conversation with a Tallystick. Every method raises Refused or NoAnswer with one line."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self.url = url

    def get(self, path: str, **query: Any) -> Any:
        """What is at a path under /v1; query parameters that are None are left out."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self.answer(self._send("GET", path, params=asked)).json()

    def post(self, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """Ask for an action; `version` is the one that must still hold."""
        return self.answer(self._send("POST", path, json=body or {}, headers=_condition(version))).json()

    def put(self, path: str, body: bytes, *, version: int) -> Any:
        """Replace what is at a path with a JSON document."""
        headers = {**_condition(version), "content-type": "application/json"}
        return self.answer(self._send("PUT", path, content=body, headers=headers)).json()

    def post_document(self, path: str, body: bytes) -> httpx.Response:
        """The answer to a JSON document, whatever its status: it is about the document. Raises NoAnswer only."""
        return self._send("POST", path, content=body, headers={"content-type": "application/json"})

    @contextmanager
    def stream(self, path: str, body: bytes, *, key: str | None) -> Iterator[httpx.Response]:
        """The answer to NDJSON while it comes in. Raises httpx.TransportError as it is: the caller may go on."""
        headers = {"content-type": "application/x-ndjson", **({"idempotency-key": key} if key else {})}
        with self._client.stream("POST", f"/v1{path}", content=body, headers=headers) as response:
            yield response

    def every(self, path: str, limit: int, **query: Any) -> tuple[list[Any], bool]:
        """Up to `limit` items of a list, page by page, and whether there are more."""
        items: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, limit=min(_PAGE, limit - len(items)), cursor=cursor, **query)
            items += page["items"]
            cursor = page["next"]
            if cursor is None or len(items) >= limit:
                return items, cursor is not None

    def transaction(self, named: str) -> dict[str, Any]:
        """The transaction of an id, or the only one with this order number, PO or reference of any system."""
        if _is_id(named):
            found: dict[str, Any] = self.get(f"/transactions/{named}")
            return found
        items = self.get("/transactions", search=named, limit=5)["items"]
        if not items:
            raise Refused(f"there is no transaction with the id, number or reference {named!r}")
        if len(items) > 1:
            ids = ", ".join(each["id"] for each in items)
            raise WrongUse(f"{named!r} stands for {len(items)} or more transactions; name one by its id: {ids}")
        only: dict[str, Any] = items[0]
        return only

    def answer(self, response: httpx.Response) -> httpx.Response:
        """The response itself when it is a yes. Raises Refused with the problem that it tells, else NoAnswer."""
        if response.is_success:
            return response
        response.read()
        raise refusal(self.url, response)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._client.request(method, f"/v1{path}", **request)
        except httpx.TransportError as error:
            raise no_answer(self.url, error) from error


@contextmanager
def open_hub(url: str) -> Iterator[Hub]:
    """A conversation with the Tallystick at `url`, with the key of the environment. Raises WrongUse without a key."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUse(
            f"{KEY_VARIABLE} is not set; export an API key (make one: tallystick keys create NAME --role admin)"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUse(f"--url: {url!r} is not an http:// or https:// address")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise WrongUse(f"{KEY_VARIABLE}: this is no API key; a key is tsk_… without spaces")
    headers = {"authorization": f"Bearer {key}", "user-agent": f"tallystick-cli/{tallystick.__version__}"}
    # A proxy of the environment is for addresses outside; what listens on this machine is asked directly.
    with httpx.Client(
        base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT, trust_env=parts.hostname not in _LOOPBACK
    ) as client:
        yield Hub(client, url.rstrip("/"))


def no_answer(url: str, error: httpx.TransportError) -> NoAnswer:
    """The failure to reach anybody, in one line."""
    said = str(error) or type(error).__name__
    return NoAnswer(f"{url} does not answer ({said}); is it running (tallystick run), and is --url right?")


def refusal(url: str, response: httpx.Response) -> CommandFailed:
    """What an answer that is no yes says, in one line."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        return NoAnswer(f"{url} answered {status}, which is not a Tallystick's answer; is --url right?")
    return Refused(problem_line(problem))


def problem_line(problem: Mapping[str, Any]) -> str:
    """A problem document as one line: what, where, which value, what to do next, and its code."""
    text = str(problem.get("detail") or problem.get("title") or "refused")
    first: Mapping[str, Any] = next(iter(problem.get("errors") or ()), {})
    value = first.get("value")
    if value is not None and repr(value) not in text:
        text = f"{text} (got {value!r})"
    return f"{text} [{problem.get('code')}]"


def _condition(version: int | None) -> dict[str, str]:
    return {} if version is None else {"if-match": f'"{version}"'}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
