"""Examples for the description, one story: an order that is held for its price. Tests hold them to the schemas."""

from __future__ import annotations

from typing import Any

Example = dict[str, Any]

_TRANSACTION_ID = "01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1"
_EXCEPTION_ID = "01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2"
_MESSAGE_ID = "01938f2d-0a11-7d02-b1c4-2f6e5d4c3b2a"
_AT = "2026-11-24T09:30:02.104512Z"
_TODAY = "2026-11-24T12:00:00Z"

ORDER: Example = {
    "entity": "default",
    "channel": "webshop",
    "order_number": "W-10023",
    "customer_id": "C-100",
    "customer_po": "PO-7781",
    "currency": "USD",
    "ordered_at": "2026-11-24T09:30:00Z",
    "lines": [{"line_number": 1, "product_id": "P-1", "quantity": "12", "unit_price": "19.99", "amount": 23988}],
    "charges": [{"kind": "charge", "code": "FREIGHT", "amount": 1500}],
}
EVENT: Example = {
    "specversion": "1.0",
    "id": "bank-778120",
    "source": "/systems/payments",
    "type": "tallystick.payment.received.v1",
    "subject": _TRANSACTION_ID,
    "data": {"number": "PAY-5512", "currency": "USD", "amount": 25488, "paid_at": _TODAY, "method": "transfer"},
}
_REASON: Example = {
    "check": "price",
    "code": "price.below_contract",
    "message": "line 1: P-1 is ordered at 19.99, the contract price is 21.00; agree the price or override",
    "decision": "hold",
    "path": "lines[0].unit_price",
    "order_value": "19.99",
    "system_value": "21.00",
    "money_at_risk": 1212,
}
_CHECKS: list[Example] = [
    {"check": "price", "decision": "hold", "source": "replica", "facts_age_seconds": 12.4, "duration_ms": 1.9}
]
JUDGEMENT: Example = {"decision": "hold", "checks": _CHECKS, "reasons": [_REASON]}
ORDER_ANSWER: Example = {
    "transaction_id": _TRANSACTION_ID,
    "order_number": "W-10023",
    **JUDGEMENT,
    "exception_id": _EXCEPTION_ID,
    "commitment": "none",
}
ORDER_LINE_ANSWER = '{"line":1,"status":201,"transaction_id":"…","order_number":"W-10023","decision":"accept",…}\n'
CHANGE_ANSWER: Example = {
    "transaction_id": _TRANSACTION_ID,
    "decision": "accept",
    "checks": [{**_CHECKS[0], "decision": "accept"}],
    "reasons": [],
    "revision": 2,
}
CANCELLATION_ANSWER: Example = {"transaction_id": _TRANSACTION_ID, "state": "cancelled"}
TRANSACTION: Example = {
    **{"id": _TRANSACTION_ID, "entity": "default", "channel": "webshop", "order_number": "W-10023"},
    **{"customer_po": "PO-7781", "customer_id": "C-100", "currency": "USD"},
    **{"intake": "held", "commitment": "none", "fulfilment": "none", "invoicing": "none", "settlement": "none"},
    **{"returns": "none", "ordered_amount": 25488, "tax_amount": 0, "shipped_amount": 0, "invoiced_amount": 0},
    **{"credited_amount": 0, "paid_amount": 0, "erp_reference": None, "order_revision": 1, "version": 1},
    **{"created_at": _AT, "updated_at": _AT},
}
_FACT: Example = {
    **{"id": "01938f2c-8f02-7b11-9d2c-1a2b3c4d5e6f", "at": _AT, "stage": "intake", "fact": "held", "system": None},
    **{"message_id": None, "actor": None, "duration_ms": 1.9, "seconds_since_previous": 0.0},
    "detail": {"checks": _CHECKS, "reasons": ["price.below_contract"]},
}
_DOCUMENT: Example = {
    **{"type": "order", "number": "W-10023", "revision": 1, "system": "webshop", "body": ORDER, "created_at": _AT},
}
LINEAGE: Example = {"items": [_FACT]}
DOCUMENTS: Example = {
    "documents": [_DOCUMENT],
    "cross_references": [{"system": "erp", "kind": "order", "reference": "SO-1187", "our_number": "W-10023"}],
}
TRANSACTIONS: Example = {"items": [TRANSACTION], "next": None}
_EXCEPTION: Example = {
    **{"id": _EXCEPTION_ID, "entity": "default", "transaction_id": _TRANSACTION_ID, "message_id": None},
    **{"type": "order.held", "stage": "intake", "system": None, "state": "open"},
    "summary": f"order W-10023 is held: {_REASON['message']}",
    **{"money_at_risk": 1212, "currency": "USD", "owner": "ana", "opened_at": _AT, "due_at": "2026-11-25T09:30:02Z"},
    **{"resolved_at": None, "resolution": None, "root_cause": None, "version": 2},
}
EXCEPTIONS: Example = {"items": [_EXCEPTION], "next": None}
EXCEPTION: Example = {
    **_EXCEPTION,
    "reasons": [_REASON],
    "context": {"checks": _CHECKS, "customer_id": "C-100", "channel": "webshop"},
    **{"resolved_by": None, "resolution_reason": None, "documents": [_DOCUMENT], "attempts": [], "lineage": [_FACT]},
    "notes": [{"at": _AT, "principal": "ben", "action": "assign", "note": None, "detail": {"owner": "ana"}}],
}
REDECIDED: Example = {"decision": "accept", "reasons": [], "revision": 1}
REJECTED: Example = {"decision": "reject", "transaction_id": _TRANSACTION_ID}
_MESSAGE: Example = {
    **{"id": _MESSAGE_ID, "position": 8812, "entity": "default", "stage": "commitment", "system": "erp"},
    **{"kind": "commit_order", "transaction_id": _TRANSACTION_ID, "state": "dead", "available_at": _AT},
    **{"deliveries": 1, "attempts": 1, "claimed_by": None, "created_at": _AT},
    "last_failure": {"kind": "rejected", "code": "erp.rejected", "message": "erp: there is no product P-1"},
}
MESSAGES: Example = {"items": [_MESSAGE], "next": None}
MESSAGE: Example = {
    **_MESSAGE,
    "payload": {"revision": 1, "tax_amount": None},
    "attempts_made": [
        {
            **{"delivery": 1, "at": _AT, "duration_ms": 84.2, "worker": "hub-1:4711", "failure": "rejected"},
            **{"code": "erp.rejected", "error": "erp: there is no product P-1", "request": None, "response": None},
        }
    ],
}
DEPTH: Example = {
    "stage": "commitment",
    "system": "erp",
    "waiting": 3,
    "in_flight": 1,
    "dead": 1,
    "oldest_seconds": 0.8,
}
SYSTEM: Example = {
    **{"name": "erp", "kind": "tryton", "owner": "erp-team@example.com", "roles": ["erp"], "entities": ["default"]},
    "state": {
        **{"system": "erp", "paused": True, "paused_by": "ben", "paused_reason": "month end", "breaker": "closed"},
        **{"breaker_until": None, "consecutive_failures": 0, "last_success_at": _AT, "last_failure_at": None},
        **{"last_failure": None, "updated_at": _TODAY},
    },
}
HEALTH: Example = {"ok": True, "latency_ms": 12.5, "detail": ""}
AUDIT: Example = {
    **{"id": "01938f30-1b22-7e33-8f44-5a6b7c8d9e0f", "at": _TODAY, "principal": "ben", "action": "system.pause"},
    **{"object_type": "system", "object_id": "erp", "entity": None, "transaction_id": None, "reason": "month end"},
    "detail": None,
}
KEY: Example = {
    **{"id": "67f41ae855e3", "principal": "webshop", "roles": ["sales"], "entities": ["default"], "scopes": None},
    **{"created_at": _AT, "expires_at": "2027-11-24T09:30:02Z", "revoked_at": None, "last_used_at": _TODAY},
}
KEY_ONCE: Example = {"id": "67f41ae855e3", "key": "tsk_67f41ae855e3_…", "expires_at": "2027-11-24T09:30:02Z"}
REPLAYED: Example = {"replayed": 1, "message_id": _MESSAGE_ID, "amended": False}
EVENT_RESULT: Example = {
    **{"id": "bank-778120", "status": 202, "code": "event.taken", "detail": "taken", "transaction_id": _TRANSACTION_ID},
}
_CASH_WAY: Example = {
    **{"rule": "part_payment", "covers": "many_for_one", "evidence": "the payer names INV-1001, and pays a part"},
    **{"on_account": 0, "deductions": []},
    "allocations": [{"customer_id": "C-100", "number": "INV-1001", "amount": 5_000, "discount": 0}],
}
_CASH_LINE_ID, _CASH_REFERENCE = "01938f30-2c33-7f44-9a55-6b7c8d9e0fa1", "TSC-2f8c7a1e90b34d56a7c8e9f0"
CASH_LINE: Example = {
    **{"id": _CASH_LINE_ID, "entity": "default", "account": "DE37040044053201300000", "statement": "12/1"},
    **{"format": "mt940", "file_name": "november.sta", "booked_on": "2026-11-25", "paid_on": "2026-11-25"},
    **{"amount": 5_000, "currency": "USD", "payer_reference": None, "remittance": "INV-1001", "payer": "Acme Inc."},
    **{"payer_account": None, "customer_id": None, "state": "suggested", "rule": "part_payment", "rivals": 1},
    **{"proposals": [_CASH_WAY], "chosen": None, "doubt": None, "reference": _CASH_REFERENCE, "posted": None},
    **{"posted_at": None, "decided_by": None, "decided_at": None, "reason": None, "exception_id": None},
    **{"received_by": "ana", "received_at": _TODAY, "version": 1},
}
CASH_DECIDED: Example = {"line_id": _CASH_LINE_ID, "reference": _CASH_REFERENCE}
CASH_RUN: Example = {
    "places": {
        "USD": {
            **{"received": 5_000, "applied": 0, "on_account": 0, "suggested": 5_000, "unidentified": 0},
            **{"refused": 0, "repeated": 0},
        }
    },
    "applications": [
        {
            "payment": {"id": "3201300000/B-1/5000/2026-11-25/1", "amount": 5_000, "currency": "USD"},
            **{"status": "suggested", "rivals": 1, "proposals": [_CASH_WAY], "line_id": _CASH_LINE_ID},
        }
    ],
    **{"left_out": [], "repeated": [], "untied_advices": [], "notes": [], "trouble": []},
}
READY: Example = {"status": "ready", "database": "ok", "schema": "current"}
PROBLEM: Example = {
    "type": "urn:tallystick:problem:body.invalid",
    "title": "Unprocessable Content",
    "status": 422,
    "code": "body.invalid",
    "detail": "/lines/0/quantity: Input should be greater than 0",
    "instance": "/v1/orders",
    "errors": [{"pointer": "/lines/0/quantity", "message": "Input should be greater than 0", "value": "-3"}],
}

# Bodies of requests, by the name of their schema.
BODIES: dict[str, Example] = {
    "Order": ORDER,
    "Event": EVENT,
    "Cancellation": {"reason": "ordered twice"},
    "Assignment": {"owner": "ana"},
    "Comment": {"text": "asked the customer"},
    "Amendment": {"order": ORDER, "reason": "price agreed by phone"},
    "Override": {"reason": "price agreed by phone", "codes": ["price.below_contract"]},
    "Rejection": {"reason": "the customer withdrew it"},
    "Resolution": {"reason": "booked by hand in the ERP", "root_cause": "missing_api"},
    "Replay": {"reason": "the product is there now"},
    "ReplayFilter": {"system": "erp", "kind": "commit_order", "dry_run": True},
    "Discard": {"reason": "the order was cancelled"},
    "Pause": {"reason": "month end"},
    "KeyRequest": {"name": "webshop", "roles": ["sales"], "entities": ["default"], "valid_days": 365},
    "Rotation": {"overlap_seconds": 3600},
    "CashApplicationRequest": {"files": [{"name": "november.sta", "content": "OjIwOlNUQVJU"}], "post": True},
    "CashAcceptance": {"choice": 1, "reason": "the customer confirmed it"},
    "CashRefusal": {"reason": "a refund of the bank"},
    "BreakOwner": {"owner": "ana"},
    "BreakExplanation": {"root_cause": "data_quality", "text": "a mistyped invoice number; corrected in December"},
    "BreakReason": {"reason": "within what the auditors agreed to"},
    "BreaksExplanation": {
        **{"reconciliation": "orders to invoices", "cause": "stale price list", "root_cause": "data_quality"},
        **{"text": "the price list of October was loaded a week late", "dry_run": True},
    },
    "BreaksAcceptance": {
        "reconciliation": "orders to invoices",
        "money_at_most": 5,
        "currency": "USD",
        "reason": "cents",
    },
    "RunPreparation": {"period": "2026-10", "statement": "all over 50 USD is explained", "most_money": 5_000},
    "RunSignOff": {"reason": "seen with the controller"},
    "RunReopening": {"reason": "a bank statement came late"},
}
