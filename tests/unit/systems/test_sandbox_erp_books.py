"""Books are read page by page to their end, and left where they would never end."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.systems.failure import Transient
from tallystick.systems.options import HttpOptions
from tallystick.systems.sandbox_erp.connector import SandboxErp


async def test_books_that_go_on_where_they_were_are_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    erp = SandboxErp("erp", HttpOptions.model_validate({"url": "http://erp.test"}))
    asked = []

    async def read(path: str, *, body: Any) -> dict[str, Any]:
        asked.append(body["after"])
        return {"items": [], "next": min(len(asked), 2)}

    monkeypatch.setattr(erp._client, "read", read)
    with pytest.raises(Transient, match="go on at 2, which was read already"):
        await erp.read_books()
    assert asked == [0, 1, 2]
