"""How the ERP says no: a status, a stable code and a sentence for a person, raised by any rule."""

from __future__ import annotations


class RefusalError(Exception):
    """A business no. `status` is 404 for what is not there, 409 for what came too late, 422 for what may not be."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def unless(condition: bool, status: int, code: str, detail: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise RefusalError(status, code, detail)
