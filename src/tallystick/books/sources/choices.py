"""What a person may say about a file, where what was sniffed is not right."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Choices(BaseModel):
    """How to read a file; whatever is None is sniffed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: str | None = Field(None, description="Any encoding that Python knows, such as cp1252")
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quote: str | None = Field(None, min_length=1, max_length=1)
    header: int | None = Field(None, ge=0, description="Line of the column names, from 1; 0 when there is none")
    sheet: str | None = Field(None, description="Name of the sheet in a workbook")
    decimal: Literal[".", ","] | None = Field(None, description="The decimal sign of every number in the file")
    date_order: Literal["dmy", "mdy", "ymd"] | None = Field(None, description="The order of every date in the file")


NOTHING_SAID = Choices()
