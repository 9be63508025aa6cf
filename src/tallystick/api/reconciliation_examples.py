"""Examples of kept reconciliations, one story: a break of October that is explained, and the period closed by two people."""

from __future__ import annotations

from tallystick.api.examples import Example

_RUN_ID, _BREAK_ID = "01938f40-1111-7a22-8b33-0c1d2e3f4a5b", "01938f40-2222-7b33-9c44-1d2e3f4a5b6c"
_AT, _LATER = "2026-11-02T06:30:00Z", "2026-11-04T09:00:00Z"
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

RUN: Example = {
    **{"id": _RUN_ID, "entity": "default", "reconciliation": "orders to invoices", "number": 31, "rules_version": 2},
    "rules_hash": _HASH,
    "inputs": [
        {"side": "left", "name": "orders.csv", "rows": 1_204, "sha256": _HASH, "size": 91_322},
        {"side": "right", "name": "postgresql://erp/books", "rows": 1_203, "sha256": None, "size": None},
    ],
    "breaks": 1,
    "carried": {
        **{"again": 1, "come_back": 0, "lapsed": 0, "new": 0, "matched": 4, "differs_otherwise": 0, "absent": 0},
    },
    **{"run_by": "nightly", "started_at": _AT, "kept_at": _AT, "state": "kept", "period": None, "statement": None},
    **{"allowed": None, "unexplained": None, "prepared_by": None, "prepared_at": None, "signed_by": None},
    **{"signed_at": None, "reopened_by": None, "reopened_at": None, "reopen_reason": None, "version": 1},
}
RUN_STORY: Example = {**RUN, "summary": {"reconciliation": "orders to invoices", "rules_version": 2}}
PREPARED: Example = {
    **RUN_STORY,
    **{"state": "prepared", "period": "2026-10", "statement": "all over 50 USD is explained", "version": 2},
    **{"allowed": {"breaks": None, "money": 5_000}, "unexplained": {"breaks": 1, "money": {"USD": 1_250}}},
    **{"prepared_by": "ana", "prepared_at": _LATER},
}
SIGNED: Example = {**PREPARED, "state": "signed_off", "signed_by": "ben", "signed_at": _LATER, "version": 3}
REOPENED: Example = {
    **RUN_STORY,
    **{"reopened_by": "admin", "reopened_at": _LATER, "reopen_reason": "a bank statement came late", "version": 4},
}
_CAUSE: Example = {"cause_kind": "data_quality", "cause": "stale price list"}
_AMOUNTS: Example = {"currency": "USD", "money_at_risk": 1_250, "amount_difference": -1_250}
_NAMED: Example = {"class": "price", "side": "both", "name": "W-10023|1"}
_NOBODY: Example = {
    **{"state": "open", "owner": None, "explained_kind": None, "explanation": None, "accepted_by": None},
    **{"acceptance": None, "resolution": None},
}
FINDING: Example = {
    **{"break_id": _BREAK_ID, "found": "again", "first_run_at": _AT},
    **_NAMED,
    **_CAUSE,
    **_AMOUNTS,
    **_NOBODY,
}
BREAK: Example = {
    **{"id": _BREAK_ID, "entity": "default", "reconciliation": "orders to invoices", "differs": "price amount"},
    **_NAMED,
    **_CAUSE,
    **_AMOUNTS,
    **_NOBODY,
    **{"first_run_id": _RUN_ID, "first_run_at": _AT, "age_days": 2, "last_run_id": _RUN_ID, "absent_since": None},
    **{"closed_run_id": None, "closed_at": None, "version": 1},
}
BREAK_WORKED: Example = {
    **BREAK,
    **{"explained_by": None, "explained_at": None, "accepted_at": None, "lapsed": None, "confidence": 0.9},
    "evidence": "the invoice has 12.50, which was the price until 2026-10-14",
    "correction": "load the price list into the order system on the day it is valid",
    "left_record": {"key": "W-10023|1", "amount": 23_988, "price": "19.99"},
    "right_record": {"key": "W-10023|1", "amount": 25_238, "price": "21.03"},
}
EXPLAINED: Example = {
    **BREAK_WORKED,
    **{"explained_kind": "data_quality", "explanation": "a stale price list", "explained_by": "ana"},
    **{"explained_at": _LATER, "version": 2},
}
ACCEPTED: Example = {
    **EXPLAINED,
    **{"state": "accepted", "accepted_by": "ana", "accepted_at": _LATER, "acceptance": "credited in November"},
    "version": 3,
}
BREAK_STORY: Example = {
    **BREAK_WORKED,
    "notes": [{"at": _LATER, "principal": "ana", "action": "assign", "note": None, "detail": {"owner": "ana"}}],
    "runs": [{"run_id": _RUN_ID, "number": 31, "kept_at": _AT, "found": "again", **_AMOUNTS}],
}
