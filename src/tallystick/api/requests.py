"""What a request must look like before it is read: JSON where a body is, and no parameter that would be ignored in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from fastapi import Request

from tallystick.api.problems import Problem, printable


def check_parameters(request: Request, known: Collection[str]) -> None:
    """Refuse query parameters that the operation doesn't know, or that come twice: a misspelt filter would else show all.

    Raises a 422 problem that names each.
    """
    counted = Counter(name for name, _ in request.query_params.multi_items())
    errors = [
        {
            "parameter": printable(name),
            "message": "given more than once" if name in known else "there is no such parameter",
        }
        for name, count in counted.items()
        if count > 1 or name not in known
    ][:20]
    if errors:
        may_be = ", ".join(sorted(known)) or "none"
        detail = f"{errors[0]['parameter']}: {errors[0]['message']}; known here: {may_be}"
        raise Problem(422, "request.invalid", detail, errors=errors)


def check_json(request: Request) -> None:
    """Refuse a body that says it is something else than JSON; who says nothing is believed to send JSON. Raises a 415 problem."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            415, "body.media_type", "send the body as application/json", headers={"Accept": "application/json"}
        )
