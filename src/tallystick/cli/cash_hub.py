"""A cash run in the hub: files go there as they are, for what they say is kept where it is posted."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallystick.cli.failure import WrongUse
from tallystick.cli.hub import open_hub


def apply_in_hub(
    url: str,
    files: Sequence[Path],
    advices: Sequence[Path],
    *,
    entity: str,
    account: str | None,
    currency: str | None,
    post: bool,
) -> dict[str, Any]:
    """What the hub made of the files. Raises WrongUse, Refused or NoAnswer."""
    body = {
        "entity": entity,
        "files": [_file(each) for each in files],
        "advices": [_file(each) for each in advices],
        "account": account,
        "currency": currency,
        "post": post,
    }
    with open_hub(url) as hub:
        answer: dict[str, Any] = hub.post("/cash/applications", body)
    return answer


def _file(path: Path) -> dict[str, str]:
    try:
        return {"name": path.name, "content": b64encode(path.read_bytes()).decode()}
    except OSError as error:
        raise WrongUse(f"{path}: it cannot be read ({error.strerror or error})") from None
