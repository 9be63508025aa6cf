"""The deterministic references that are written into other systems' documents, so that a look-up always finds them again."""

from __future__ import annotations

from uuid import UUID

PREFIX = "TS-"


def order_reference(transaction_id: UUID) -> str:
    """The order's reference in every system: TS- and the transaction's id in 32 hexadecimal digits."""
    return f"{PREFIX}{transaction_id.hex}"


def shipment_reference(transaction_id: UUID, shipment_number: str) -> str:
    """A shipment's reference: the order's and the warehouse's own shipment number."""
    return f"{order_reference(transaction_id)}-S-{shipment_number}"


def invoice_reference(transaction_id: UUID, shipment_number: str) -> str:
    """The reference of the invoice for one shipment."""
    return f"{order_reference(transaction_id)}-I-{shipment_number}"


def payment_reference(transaction_id: UUID, payment_number: str) -> str:
    """A payment's reference: the order's and the payer's side's own payment number."""
    return f"{order_reference(transaction_id)}-P-{payment_number}"


def return_reference(transaction_id: UUID, return_number: str) -> str:
    """A return's reference: the order's and the warehouse's own return number."""
    return f"{order_reference(transaction_id)}-R-{return_number}"


def warehouse_reference(transaction_id: UUID, revision: int) -> str:
    """The reference of a shipment request; a changed order is asked for anew under its revision."""
    reference = order_reference(transaction_id)
    return reference if revision == 1 else f"{reference}-V{revision}"


def transaction_of(reference: str) -> UUID | None:
    """The transaction that a subject or reference names: a plain UUID, or any reference made here. None: neither."""
    text = reference[len(PREFIX) :][:32] if reference.startswith(PREFIX) else reference
    try:
        return UUID(text)
    except ValueError:
        return None
