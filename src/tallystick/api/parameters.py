"""What several operations take as query parameters: words to filter by, without control characters."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from tallystick.documents.values import NO_CONTROL_CHARACTERS

Word = Annotated[str | None, Query(max_length=64, pattern=NO_CONTROL_CHARACTERS)]
