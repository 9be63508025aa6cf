"""Sets an empty Tryton database up as a distributor's: company, accounts, years, taxes by jurisdiction, terms, journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from tallystick.sandbox.tryton.rpc import TrytonClient

MODULES = (
    "account_credit_limit",
    "account_invoice",
    "account_invoice_stock",
    "account_statement",
    "product_price_list",
    "sale",
    "sale_amendment",
    "sale_credit_limit",
    "sale_price_list",
    "stock",
)
INTEGRATION_USER = "tallystick"
INTEGRATION_GROUPS = (
    "sale.group_sale",
    "sale.group_sale_admin",
    "sale_amendment.group_sale_amendment",
    "stock.group_stock",
    "stock.group_stock_force_assignment",
    "stock.group_stock_cancellation",
    "account.group_account",
    "account_statement.group_statement",
)
"""What the integration user may do: no more than docs/how-to/connect-tryton.md asks for."""
BASE_TAX = "Sales tax"
TERMS = {"NET30": 30, "NET60": 60, "DIRECT": 0}


def set_up(client: TrytonClient, *, taxes: Mapping[str, Decimal], today: date, password: str) -> None:
    """Make everything an order to cash needs that is no customer or product; `taxes` are rates by jurisdiction.

    `password` is the integration user's.

    Raises TrytonRefusalError; then the database is not usable.
    """
    currency = _company(client)
    accounts = _accounts(client)
    _fiscal_years(client, range(today.year - 1, today.year + 3))
    _terms(client)
    _taxes(client, accounts, taxes)
    _journals(client, accounts, currency)
    _configuration(client)
    _invoice_print(client)
    _integration_user(client, password)


def _wizard(client: TrytonClient, name: str, steps: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Run a wizard: each step is (button, form, values); the first shows the form."""
    session = client(f"wizard.{name}.create")[0]
    data: dict[str, dict[str, Any]] = {}
    for button, form, values in steps:
        data[form] = {**data.get(form, {}), **values}
        client(f"wizard.{name}.execute", session, data, button)
    client(f"wizard.{name}.delete", session)


def _company(client: TrytonClient) -> int:
    currency: int = client(
        "model.currency.currency.create",
        [
            {
                "name": "US Dollar",
                "symbol": "$",
                "code": "USD",
                "numeric_code": "840",
                "rounding": Decimal("0.01"),
                "digits": 2,
                "rates": [["create", [{"date": date(1990, 1, 1), "rate": Decimal(1)}]]],
            }
        ],
    )[0]
    party = client("model.party.party.create", [{"name": "Sandbox Distribution Inc."}])[0]
    company = client("model.company.company.create", [{"party": party, "currency": currency, "timezone": "UTC"}])[0]
    user = client.search("res.user", [("login", "=", "admin")], ["id"])[0]["id"]
    client("model.res.user.write", [user], {"companies": [["add", [company]]], "company": company})
    client.refresh_context()
    return currency


def _accounts(client: TrytonClient) -> dict[str, int]:
    template = client("model.ir.model.data.get_id", "account.account_template_root_en")
    company = client.context["company"]
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("start", "start", {}),
        ("account", "account", {}),
        ("create_account", "account", {"account_template": template, "company": company}),
    ]
    _wizard(client, "account.create_chart", steps)
    accounts = {
        kind: client.search("account.account", [(f"type.{kind}", "=", True), ("closed", "!=", True)], ["id"], 1)[0][
            "id"
        ]
        for kind in ("receivable", "payable", "revenue", "expense")
    }
    for name, code in (("cash", "1.1.1"), ("tax", "2.2.3")):
        accounts[name] = client.search("account.account", [("code", "=", code)], ["id"], 1)[0]["id"]
    client(
        "model.account.configuration.write",
        [1],
        {
            "default_account_receivable": accounts["receivable"],
            "default_account_payable": accounts["payable"],
            "default_category_account_expense": accounts["expense"],
            "default_category_account_revenue": accounts["revenue"],
            "tax_rounding": "line",
        },
    )
    return accounts


def _fiscal_years(client: TrytonClient, years: Iterable[int]) -> None:
    types = {
        name: client.search("ir.sequence.type", [("name", "=", name)], ["id"], 1)[0]["id"]
        for name in ("Account Move", "Invoice")
    }
    company = client.context["company"]
    for year in years:
        numbered = {"sequence_type": types["Invoice"], "company": company, "padding": 6}
        sequences = client(
            "model.ir.sequence.strict.create",
            [
                {"name": f"Moves {year}", "sequence_type": types["Account Move"], "company": company},
                {"name": f"Invoices {year}", "prefix": f"INV{year}-", **numbered},
                {"name": f"Credit notes {year}", "prefix": f"CRN{year}-", **numbered},
            ],
        )
        invoices = {"out_invoice_sequence": sequences[1], "in_invoice_sequence": sequences[1],
                    "out_credit_note_sequence": sequences[2], "in_credit_note_sequence": sequences[2],
                    "company": company}  # fmt: skip
        fiscal_year = client(
            "model.account.fiscalyear.create",
            [
                {
                    "name": str(year),
                    "start_date": date(year, 1, 1),
                    "end_date": date(year, 12, 31),
                    "company": company,
                    "move_sequence": sequences[0],
                    "invoice_sequences": [["create", [invoices]]],
                }
            ],
        )
        client("model.account.fiscalyear.create_period", fiscal_year)


def _terms(client: TrytonClient) -> None:
    client(
        "model.account.invoice.payment_term.create",
        [
            {
                "name": name,
                "lines": [["create", [{"type": "remainder", "relativedeltas": [["create", [{"days": days}]]]}]]],
            }
            for name, days in TERMS.items()
        ],
    )


def _taxes(client: TrytonClient, accounts: Mapping[str, int], rates: Mapping[str, Decimal]) -> None:
    """A tax for each jurisdiction, and for each a rule that a customer there has.

    Goods have no tax of their own: this company has a tax service compute it, and Tryton would warn of each invoice whose
    taxes are not the goods' own.
    """
    names = [BASE_TAX, *rates]
    taxes = client(
        "model.account.tax.create",
        [
            {
                "name": name,
                "description": name,
                "type": "percentage",
                "rate": rates.get(name, Decimal(0)),
                "invoice_account": accounts["tax"],
                "credit_note_account": accounts["tax"],
            }
            for name in names
        ],
    )
    rules = [
        {"name": name, "kind": "sale", "lines": [["create", [{"origin_tax": taxes[0], "tax": tax}]]]}
        for name, tax in zip(names[1:], taxes[1:], strict=True)
    ]
    rules.append({"name": "exempt", "kind": "sale", "lines": [["create", [{"origin_tax": taxes[0], "tax": None}]]]})
    client("model.account.tax.rule.create", rules)
    client(
        "model.product.category.create",
        [
            {
                "name": "Goods",
                "accounting": True,
                "account_expense": accounts["expense"],
                "account_revenue": accounts["revenue"],
            }
        ],
    )


def _journals(client: TrytonClient, accounts: Mapping[str, int], currency: int) -> None:
    journal = client.search("account.journal", [("type", "=", "statement")], ["id"], 1)
    journal_id = (
        journal[0]["id"]
        if journal
        else client("model.account.journal.create", [{"name": "Bank", "type": "statement"}])[0]
    )
    client(
        "model.account.statement.journal.create",
        [
            {
                "name": "Bank",
                "journal": journal_id,
                "currency": currency,
                "account": accounts["cash"],
                "validation": "amount",
                "company": client.context["company"],
            }
        ],
    )


def _configuration(client: TrytonClient) -> None:
    client(
        "model.sale.configuration.write",
        [1],
        {"sale_invoice_method": "fulfillment", "sale_shipment_method": "order"},
    )


def _invoice_print(client: TrytonClient) -> None:
    """Nobody reads the prints here: a line of text in place of the layout, which takes longer to make than all else."""
    report = client.search("ir.action.report", [("report_name", "=", "account.invoice")], ["id"], 1)[0]["id"]
    text = "${invoice.number} ${invoice.invoice_date} ${invoice.party.rec_name} ${invoice.total_amount}\n"
    client(
        "model.ir.action.report.write",
        [report],
        {"report_content_custom": text.encode(), "template_extension": "txt", "extension": ""},
    )


def _integration_user(client: TrytonClient, password: str) -> None:
    groups = [client("model.ir.model.data.get_id", group) for group in INTEGRATION_GROUPS]
    company = client.context["company"]
    client(
        "model.res.user.create",
        [
            {
                "name": "Tallystick",
                "login": INTEGRATION_USER,
                "password": password,
                "companies": [["add", [company]]],
                "company": company,
                "groups": [["add", groups]],
            }
        ],
    )
