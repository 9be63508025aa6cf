"""Sales orders: created once for a reference, confirmed, changed and cancelled before anything shipped."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tallystick.documents.money import MAXIMUM_MINOR, Rounding, format_minor, from_minor, to_minor
from tallystick.documents.party import Customer, CustomerStatus
from tallystick.sandbox.erp.configuration import Configuration
from tallystick.sandbox.erp.ledger import Ledger
from tallystick.sandbox.erp.masters import known_customer
from tallystick.sandbox.erp.records import OrderState, SalesLine, SalesOrder
from tallystick.sandbox.erp.refusal import RefusalError, unless
from tallystick.sandbox.erp.requests import Answer, OrderReference, SalesLineRequest, SalesOrderRequest

_CHANGEABLE = (OrderState.DRAFT, OrderState.CONFIRMED)


def create_order(ledger: Ledger, configuration: Configuration, request: SalesOrderRequest) -> Answer:
    """Create an order and confirm it. A known reference answers the order there is (200), if it is the same order."""
    number = ledger.find("order", request.customer_id, request.reference)
    if number is not None:
        existing = ledger.orders[number]
        later = existing.revision > request.revision  # created by this very call, and changed since
        unless(
            later or existing.terms == _terms(ledger, configuration, request),
            409,
            "order.reference_used",
            f"reference {request.reference} is order {number} with other content; change that order, or use a new reference",
        )
        return 200, summary(existing)
    order = _compose(ledger, configuration, request, f"SO{len(ledger.orders) + 1:08d}")
    if request.confirm:
        _check_credit(ledger, order, before=0)
    ledger.put(order)
    return 201, summary(order)


def confirm_order(ledger: Ledger, request: OrderReference) -> Answer:
    """Confirm a draft: from now on it reserves stock and counts against the credit limit."""
    order = find_order(ledger, request.customer_id, request.reference)
    unless(order.state is not OrderState.CANCELLED, 409, "order.cancelled", f"order {order.number} is cancelled")
    if order.state is not OrderState.DRAFT:
        return 200, summary(order)
    confirmed = replace(order, state=OrderState.CONFIRMED)
    _check_credit(ledger, confirmed, before=0)
    ledger.put(confirmed)
    return 200, summary(confirmed)


def change_order(ledger: Ledger, configuration: Configuration, request: SalesOrderRequest) -> Answer:
    """Replace an order's content before anything shipped. The same revision with the same content is the same change."""
    order = find_order(ledger, request.customer_id, request.reference)
    if request.revision == order.revision and order.terms == _terms(ledger, configuration, request):
        return 200, summary(order)
    unless(
        request.revision > order.revision,
        409,
        "order.stale_revision",
        f"order {order.number} is at revision {order.revision}; revision {request.revision} comes too late",
    )
    _check_changeable(order)
    changed = replace(
        _compose(ledger, configuration, request, order.number), state=order.state, booked_at=order.booked_at
    )
    if order.state is OrderState.CONFIRMED:
        _check_credit(ledger, changed, before=order.open_amount)
    ledger.put(changed)
    return 200, summary(changed)


def cancel_order(ledger: Ledger, request: OrderReference) -> Answer:
    """Cancel an order of which nothing shipped; one that is cancelled already stays so."""
    order = find_order(ledger, request.customer_id, request.reference)
    if order.state is not OrderState.CANCELLED:
        _check_changeable(order)
        order = replace(order, state=OrderState.CANCELLED)
        ledger.put(order)
    return 200, summary(order)


def find_order(ledger: Ledger, customer_id: str, reference: str) -> SalesOrder:
    """The order with another side's reference; refused when there is none."""
    number = ledger.find("order", customer_id, reference)
    if number is None:
        raise RefusalError(404, "order.unknown", f"customer {customer_id} has no order with reference {reference}")
    return ledger.orders[number]


def order_by_number(ledger: Ledger, number: str) -> SalesOrder:
    """The order with our number; refused when there is none."""
    order = ledger.orders.get(number)
    if order is None:
        raise RefusalError(404, "order.unknown", f"there is no order {number}")
    return order


def summary(order: SalesOrder) -> dict[str, object]:
    """An order's head, the answer to every call that writes one."""
    return {
        "number": order.number,
        "reference": order.reference,
        "state": order.state,
        "revision": order.revision,
        "currency": order.currency,
        "net_amount": order.net_amount,
        "tax_amount": order.tax_amount,
        "total_amount": order.total_amount,
    }


def _check_changeable(order: SalesOrder) -> None:
    unless(
        order.state in _CHANGEABLE,
        409,
        "order.not_open",
        f"order {order.number} is {order.state}; only an order of which nothing shipped can be changed or cancelled",
    )


def _terms(ledger: Ledger, configuration: Configuration, request: SalesOrderRequest) -> tuple[object, ...]:
    """What the request would agree, without asking whether it may still be agreed."""
    customer = known_customer(ledger, request.customer_id)
    lines = tuple(_line(configuration, customer, request, line) for line in request.lines)
    tax = _tax(ledger, configuration, customer, request, lines)
    return (request.currency, request.charges, tax, tuple(line.terms for line in lines))


def _compose(ledger: Ledger, configuration: Configuration, request: SalesOrderRequest, number: str) -> SalesOrder:
    """The order as the ERP would keep it. Refuses what its masters do not allow; totals are the ERP's own."""
    customer = known_customer(ledger, request.customer_id)
    _check_customer(customer, request.currency)
    _check_lines(ledger, request)
    lines = tuple(_line(configuration, customer, request, line) for line in request.lines)
    net = sum(line.net_amount for line in lines) + sum(charge.signed_amount for charge in request.charges)
    tax = _tax(ledger, configuration, customer, request, lines)
    unless(
        net >= 0 and net + tax <= MAXIMUM_MINOR,
        422,
        "order.total",
        f"the net amount would be {format_minor(net, request.currency)} {request.currency}",
    )
    return SalesOrder(
        number=number,
        reference=request.reference,
        customer_id=request.customer_id,
        customer_po=request.customer_po,
        currency=request.currency,
        ordered_on=request.ordered_on,
        requested_delivery=request.requested_delivery,
        requested_shipment=request.requested_shipment,
        cancel_after=request.cancel_after,
        payment_terms=request.payment_terms or customer.payment_terms,
        ship_to=request.ship_to,
        lines=lines,
        charges=request.charges,
        tax_amount=tax,
        net_amount=net,
        total_amount=net + tax,
        state=OrderState.CONFIRMED if request.confirm else OrderState.DRAFT,
        revision=request.revision,
        booked_at=ledger.clock(),
    )


def _check_customer(customer: Customer, currency: str) -> None:
    unless(
        customer.status is CustomerStatus.ACTIVE,
        422,
        "customer.blocked",
        f"customer {customer.id} is {customer.status}",
    )
    unless(
        customer.currency == currency,
        422,
        "order.currency",
        f"customer {customer.id} is billed in {customer.currency}, not in {currency}",
    )


def _check_lines(ledger: Ledger, request: SalesOrderRequest) -> None:
    seen: set[int] = set()
    for index, line in enumerate(request.lines):
        where = f"lines[{index}]"
        unless(line.line_number not in seen, 422, "order.line_number", f"{where}: line {line.line_number} comes twice")
        seen.add(line.line_number)
        product = ledger.products.get(line.product_id)
        if product is None:
            raise RefusalError(422, "product.unknown", f"{where}: there is no product {line.product_id}")
        unless(product.active, 422, "product.inactive", f"{where}: product {line.product_id} is not sold any more")
        unless(
            product.unit == line.unit,
            422,
            "product.unit",
            f"{where}: product {line.product_id} is sold by {product.unit}, not by {line.unit}",
        )


def _line(
    configuration: Configuration, customer: Customer, request: SalesOrderRequest, line: SalesLineRequest
) -> SalesLine:
    return SalesLine(
        line_number=line.line_number,
        product_id=line.product_id,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        discount=line.discount,
        warehouse=line.warehouse or customer.warehouse or configuration.default_warehouse,
        net_amount=extension(line, line.quantity, request.currency, configuration.rounding),
    )


def extension(line: SalesLine | SalesLineRequest, quantity: Decimal, currency: str, rounding: Rounding) -> int:
    """Net amount of a quantity of a line, rounded once, in minor units."""
    return to_minor(quantity * line.unit_price * (1 - line.discount), currency, rounding)


def _tax(
    ledger: Ledger,
    configuration: Configuration,
    customer: Customer,
    request: SalesOrderRequest,
    lines: tuple[SalesLine, ...],
) -> int:
    """The caller's tax, or the ERP's own rate on taxable products."""
    if request.tax_amount is not None:
        return request.tax_amount
    if customer.tax_exempt or not configuration.tax_rate:
        return 0
    untaxed = {each.product_id for each in lines if not _taxable(ledger, each.product_id)}
    base = sum(line.net_amount for line in lines if line.product_id not in untaxed)
    return to_minor(
        from_minor(base, request.currency) * configuration.tax_rate, request.currency, configuration.rounding
    )


def _taxable(ledger: Ledger, product_id: str) -> bool:
    product = ledger.products.get(product_id)
    return product is None or product.taxable


def _check_credit(ledger: Ledger, order: SalesOrder, before: int) -> None:
    """Refuse what would exceed the limit; `before` is what the same order counted until now."""
    position = ledger.credit_position(order.customer_id)
    unless(not position.on_hold, 422, "credit.on_hold", f"customer {order.customer_id} is on credit hold")
    if position.limit is None:
        return
    exposure = position.open_orders - before + position.open_invoices + order.total_amount
    unless(
        exposure <= position.limit,
        422,
        "credit.over_limit",
        f"customer {order.customer_id} would owe {format_minor(exposure, order.currency)} {order.currency}, "
        f"the limit is {format_minor(position.limit, order.currency)}",
    )
