"""The hub's own documents as rows to reconcile: the latest revision of each, from the installation's database."""

from __future__ import annotations

from collections.abc import Mapping

_LATEST = """
with latest as (
    select distinct on (d.transaction_id, d.type, d.number) d.*, t.entity, t.channel, t.order_number, t.customer_id, t.currency
    from documents d join transactions t on t.id = d.transaction_id
    where d.type = '{type}'
    order by d.transaction_id, d.type, d.number, d.revision desc
)
"""
_OF_THE_ORDER = "entity, channel, order_number, customer_id"
_LINE = (
    "(line->>'line_number')::bigint as line_number, line->>'product_id' as product_id, line->>'quantity' as quantity"
)

HUB_QUERIES: Mapping[str, str] = {
    "orders": """
select entity, channel, order_number, customer_id, currency, created_at::date as date, ordered_amount, tax_amount,
    shipped_amount, invoiced_amount, credited_amount, paid_amount, erp_reference, intake, commitment, fulfilment, invoicing,
    settlement, returns
from transactions
""",
    "order_lines": f"""{_LATEST.format(type="order")}
select {_OF_THE_ORDER}, currency, (body->>'ordered_at')::timestamptz::date as date, {_LINE}, line->>'unit' as unit,
    line->>'unit_price' as unit_price, line->>'discount' as discount, (line->>'amount')::bigint as amount
from latest, jsonb_array_elements(body->'lines') line
""",
    "shipments": f"""{_LATEST.format(type="shipment")}
select {_OF_THE_ORDER}, number, currency, (body->>'shipped_at')::timestamptz::date as date, body->>'warehouse' as warehouse,
    {_LINE}
from latest, jsonb_array_elements(body->'lines') line
""",
    "invoices": f"""{_LATEST.format(type="invoice")}
select {_OF_THE_ORDER}, number, currency, (body->>'invoice_date')::date as date, (body->>'due_date')::date as due_date,
    (body->>'net_amount')::bigint as net_amount, (body->>'tax_amount')::bigint as tax_amount,
    (body->>'total_amount')::bigint as total_amount
from latest
""",
    "invoice_lines": f"""{_LATEST.format(type="invoice")}
select {_OF_THE_ORDER}, number, currency, (body->>'invoice_date')::date as date, {_LINE}, line->>'unit_price' as unit_price,
    (line->>'amount')::bigint as amount
from latest, jsonb_array_elements(body->'lines') line
""",
    "credit_memos": f"""{_LATEST.format(type="credit_memo")}
select {_OF_THE_ORDER}, number, currency, (body->>'credit_date')::date as date, body->>'return_number' as return_number,
    body->>'invoice_number' as invoice_number, (body->>'total_amount')::bigint as total_amount
from latest
""",
    "payments": f"""{_LATEST.format(type="payment")}
select {_OF_THE_ORDER}, number, currency, (body->>'paid_at')::timestamptz::date as date,
    (body->>'amount')::bigint as amount, body->>'invoice_number' as invoice_number, body->>'remittance' as remittance
from latest
""",
}
