"""What each operation answers when it succeeds, with an example: by operation, then by status. A test insists on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tallystick.api import examples as like
from tallystick.api import reconciliation_examples as kept
from tallystick.api.shapes import cash, orders, reconciliations, running, work
from tallystick.documents.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Answer:
    """One of these shapes, such as the example. `versioned` answers carry an ETag, which a change names in If-Match."""

    shapes: tuple[type[BaseModel], ...]
    example: dict[str, Any]
    versioned: bool = False


Answers = dict[int, Answer]


def _one(shape: type[BaseModel], example: dict[str, Any], status: int = 200, *, versioned: bool = False) -> Answers:
    return {status: Answer((shape,), example, versioned)}


_JUDGED_OR_REPLAYED = (work.Redecided, work.Replayed)

ANSWERS: dict[str, Answers] = {
    "orders_create_order": _one(orders.OrderAnswer, like.ORDER_ANSWER, 201),
    "orders_validate_order": _one(orders.Judgement, like.JUDGEMENT),
    "orders_replace_order": _one(orders.ChangeAnswer, like.CHANGE_ANSWER),
    "orders_cancel": _one(orders.CancellationAnswer, like.CANCELLATION_ANSWER, 202),
    "transactions_list_transactions": _one(orders.TransactionPage, like.TRANSACTIONS),
    "transactions_show_transaction": _one(Transaction, like.TRANSACTION, versioned=True),
    "transactions_show_lineage": _one(orders.Lineage, like.LINEAGE),
    "transactions_show_documents": _one(orders.TransactionDocuments, like.DOCUMENTS),
    "exceptions_list_queue": _one(work.ExceptionPage, like.EXCEPTIONS),
    "exceptions_show": _one(work.ExceptionStory, like.EXCEPTION, versioned=True),
    "exceptions_assign": _one(work.Assigned, {"owner": "ana"}, versioned=True),
    "exceptions_comment": _one(work.Commented, {"commented": True}, versioned=True),
    "exceptions_retry": {200: Answer(_JUDGED_OR_REPLAYED, like.REPLAYED)},
    "exceptions_amend": {200: Answer(_JUDGED_OR_REPLAYED, {**like.REDECIDED, "revision": 2})},
    "exceptions_override": _one(work.Redecided, like.REDECIDED),
    "exceptions_reject": _one(work.Rejected, like.REJECTED),
    "exceptions_resolve": _one(work.Resolved, {"resolved": True}),
    "messages_list_live": _one(work.MessagePage, like.MESSAGES),
    "messages_depths": _one(work.Depths, {"items": [like.DEPTH]}),
    "messages_show": _one(work.MessageStory, like.MESSAGE),
    "messages_replay": _one(work.ReplayCount, {"replayed": 1}),
    "messages_replay_many": {200: Answer((work.ReplayCount, work.ReplayPreview), {"would_replay": 12})},
    "messages_discard": _one(work.DiscardCount, {"discarded": 1}),
    "systems_list_systems": _one(running.SystemList, {"items": [like.SYSTEM]}),
    "systems_show": _one(running.SystemStory, {**like.SYSTEM, "health": like.HEALTH}),
    "systems_pause": _one(running.Pausing, {"name": "erp", "paused": True, "changed": True}),
    "systems_resume": _one(running.Pausing, {"name": "erp", "paused": False, "changed": True}),
    "cash_apply_cash": _one(cash.CashRun, like.CASH_RUN),
    "cash_list_received": _one(cash.CashLinePage, {"items": [like.CASH_LINE], "next": None}),
    "cash_show": _one(cash.CashLine, like.CASH_LINE, versioned=True),
    "cash_accept": _one(cash.CashDecided, {**like.CASH_DECIDED, "state": "posting"}, versioned=True),
    "cash_refuse": _one(cash.CashDecided, {**like.CASH_DECIDED, "state": "refused"}, versioned=True),
    "reconciliations_list_kept": _one(reconciliations.RunPage, {"items": [kept.RUN], "next": None}),
    "reconciliations_show_run": _one(reconciliations.RunStory, kept.RUN_STORY, versioned=True),
    "reconciliations_show_findings": _one(reconciliations.FindingPage, {"items": [kept.FINDING], "next": None}),
    "reconciliations_prepare": _one(reconciliations.RunStory, kept.PREPARED, versioned=True),
    "reconciliations_sign": _one(reconciliations.RunStory, kept.SIGNED, versioned=True),
    "reconciliations_reopen_run": _one(reconciliations.RunStory, kept.REOPENED, versioned=True),
    "reconciliations_list_standing": _one(reconciliations.BreakPage, {"items": [kept.BREAK], "next": None}),
    "reconciliations_explain_all": {
        200: Answer((reconciliations.BreaksExplained, reconciliations.BreaksToExplain), {"would_be_explained": 1_204})
    },
    "reconciliations_accept_all": {
        200: Answer((reconciliations.BreaksAccepted, reconciliations.BreaksToAccept), {"accepted": 12})
    },
    "reconciliations_show_break": _one(reconciliations.BreakStory, kept.BREAK_STORY, versioned=True),
    "reconciliations_assign": _one(reconciliations.BreakWorked, kept.BREAK_WORKED, versioned=True),
    "reconciliations_explain": _one(reconciliations.BreakWorked, kept.EXPLAINED, versioned=True),
    "reconciliations_accept": _one(reconciliations.BreakWorked, kept.ACCEPTED, versioned=True),
    "reconciliations_reopen_one": _one(reconciliations.BreakWorked, kept.BREAK_WORKED, versioned=True),
    "audit_read_trail": _one(running.AuditPage, {"items": [like.AUDIT], "next": None}),
    "keys_list_all": _one(running.KeyList, {"items": [like.KEY]}),
    "keys_make": _one(running.KeyOnce, like.KEY_ONCE, 201),
    "keys_rotate": _one(running.KeyOnce, like.KEY_ONCE, 201),
    "keys_revoke": _one(running.Revoked, {"revoked": "67f41ae855e3"}),
    "schemas_list_schemas": _one(running.SchemaNames, {"items": ["customer", "order"]}),
    "events_take_events": {
        200: Answer((running.EventResult,), {**like.EVENT_RESULT, "status": 200, "code": "event.repeated"}),
        202: Answer((running.EventResult, running.EventResults), like.EVENT_RESULT),
        207: Answer((running.EventResults,), {"results": [like.EVENT_RESULT]}),
    },
    "operations_live": _one(running.Liveness, {"status": "alive"}),
    "operations_ready": {
        200: Answer((running.Readiness,), like.READY),
        503: Answer((running.Readiness,), {"status": "not ready", "database": "no answer", "schema": "unknown"}),
    },
}
# These answer with something else than JSON of ours: lines, another's schema, Prometheus text.
OTHER_ANSWERS: dict[str, tuple[str, Any]] = {
    "orders_create_orders": ("application/x-ndjson", like.ORDER_LINE_ANSWER),
    "schemas_show_schema": ("application/json", {"$schema": "https://json-schema.org/draft/2020-12/schema"}),
    "operations_show_metrics": ("text/plain", 'tallystick_orders_total{answer="accept"} 2114.0\n'),
}
