"""What all described answers share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """An answer or a part of one. Answers may gain fields; those described stay."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Page(Shape):
    """One page of a list."""

    next: str | None
    """The cursor of the next page; null on the last."""
