"""Each kind of matching rule on a few rows, with what it must not match beside what it must."""

from __future__ import annotations

from pathlib import Path

from tests.integration.books.reconciling import read, reconciled, rules_of, said

ONE = '[[match]]\nname = "same number"\n'


def test_rows_that_agree_match_and_everything_else_is_a_break(tmp_path: Path) -> None:
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(ONE),
        "A1,C1,2026-01-05,10.00\nA2,C1,2026-01-05,20.00\nA3,C2,2026-01-06,30.00\nA4,C2,2026-01-06,40.00",
        "A1,C1,2026-01-05,10.00\nA2,C1,2026-01-05,20.01\nA4,C3,2026-01-06,40.00\nA5,C2,2026-01-07,50.00",
    )
    assert said(breaks) == [
        ("amount", "A2", 1),
        ("missing_left", "A5", 5000),
        ("missing_right", "A3", 3000),
        ("party", "A4", 4000),
    ]
    assert (outcome.left.matched, outcome.left.broken, outcome.right.matched, outcome.right.broken) == (1, 3, 1, 3)
    assert outcome.at_risk == {"USD": 12001}


def test_a_repeated_row_is_a_duplicate_whichever_side_it_is_on_and_the_other_one_matches(tmp_path: Path) -> None:
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(ONE, causes=True),
        """A1,C1,2026-01-05,10.00
        A1,C1,2026-01-05,10.00
        A2,C1,2026-01-05,7.00
        A3,C1,2026-01-05,1.00
        A3,C1,2026-01-05,1.00
        A4,C9,2026-01-05,3.00
        A4,C9,2026-01-05,3.00""",
        """A1,C1,2026-01-05,10.00
        A2,C1,2026-01-05,9.00
        A2,C1,2026-01-05,7.00
        A3,C1,2026-01-05,1.00
        A3,C1,2026-01-05,1.00""",
    )
    assert said(breaks) == [
        ("duplicate", "A1", 1000),
        ("duplicate", "A2", 900),
        ("duplicate", "A4", 300),  # of two rows that are nowhere else one is missing there, and the other repeats it
        ("missing_right", "A4", 300),
    ]
    named = {row["left_key"] or row["right_key"]: row["cause"] for row in breaks if row["class"] == "duplicate"}
    assert named == {"A1": "sent twice", "A2": "number used twice", "A4": "sent twice"}
    assert outcome.left.matched == outcome.right.matched == 4


def test_tolerances_are_bounds_that_count_to_the_cent_and_one_that_holds_is_enough(tmp_path: Path) -> None:
    _, breaks = reconciled(
        tmp_path,
        rules_of(f"{ONE}tolerance = {{ absolute = 0.05, percent = 1 }}\n"),
        """A1,C1,2026-01-05,1.00
        A2,C1,2026-01-05,1.00
        A3,C1,2026-01-05,-100.00
        A4,C1,2026-01-05,100.00""",
        """A1,C1,2026-01-05,1.05
        A2,C1,2026-01-05,1.06
        A3,C1,2026-01-05,-101.01
        A4,C1,2026-01-05,101.02""",
    )
    assert said(breaks) == [("amount", "A2", 6), ("amount", "A4", 102)]


def test_a_date_window_is_counted_from_the_left_date_in_both_directions(tmp_path: Path) -> None:
    _, breaks = reconciled(
        tmp_path,
        rules_of(f"{ONE}days = {{ before = 1, after = 5 }}\n", causes=True),
        "A1,C1,2026-01-10,1.00\nA2,C1,2026-01-10,2.00\nA3,C1,2026-01-10,3.00\nA4,C1,2026-01-30,4.00",
        "A1,C1,2026-01-09,1.00\nA2,C1,2026-01-15,2.00\nA3,C1,2026-01-16,3.00\nA4,C1,2026-02-09,4.00",
    )
    assert said(breaks) == [("date", "A3", 0), ("date", "A4", 400)]
    assert [row["cause"] for row in breaks] == ["late posting", "timing or cut-off"]


def test_one_order_matches_the_sum_of_its_invoices_and_a_group_that_does_not_add_up_is_one_break(
    tmp_path: Path,
) -> None:
    several = '[[match]]\nname = "several invoices"\nkind = "one_to_many"\ntolerance = { per_line = 0.01 }\n'
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(ONE + several),
        "A1,C1,2026-01-05,10.00\nA2,C1,2026-01-05,20.00\nA3,C1,2026-01-05,30.00\nA4,C1,2026-01-05,8.00",
        """A1,C1,2026-01-05,10.00
        A2,C1,2026-01-05,12.00
        A2,C1,2026-01-06,8.02
        A3,C1,2026-01-05,12.00
        A3,C1,2026-01-06,12.00
        A4,C1,2026-01-06,4.00
        A4,C1,2026-01-06,4.00
        A4,C1,2026-01-06,4.00""",
    )
    assert said(breaks) == [("amount", "A3", 600), ("amount", "A4", 400)]
    assert (outcome.right.matched, outcome.right.broken) == (3, 5)
    rows = read(tmp_path / "out" / "break_rows.parquet")
    assert sorted((row["number"], row["side"], row["row"]) for row in rows if row["side"] == "right") == [
        (1, "right", 5),
        (1, "right", 6),
        (2, "right", 7),
        (2, "right", 8),
        (2, "right", 9),
    ]


def test_an_invoice_sent_twice_within_a_group_is_called_a_duplicate(tmp_path: Path) -> None:
    rule = '[[match]]\nname = "several invoices"\nkind = "one_to_many"\n'
    _, breaks = reconciled(
        tmp_path,
        rules_of(rule, causes=True),
        "A1,C1,2026-01-05,10.00\nA2,C1,2026-01-05,5.00",
        "A1,C1,2026-01-05,6.00\nA1,C1,2026-01-06,4.00\nA1,C1,2026-01-06,4.00\nA2,C1,2026-01-06,5.00",
    )
    assert [(row["class"], row["money_at_risk"], row["cause"]) for row in breaks] == [("duplicate", 400, "sent twice")]


def test_many_to_many_compares_the_sums_of_a_group_on_both_sides(tmp_path: Path) -> None:
    rule = '[[match]]\nname = "by delivery"\nkind = "many_to_many"\non = "group"\n'
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(rule, 'group = "delivery"', 'group = "delivery"'),
        "A1,C1,2026-01-05,10.00,D1\nA2,C1,2026-01-05,5.00,D1\nA3,C1,2026-01-05,1.00,D2\nA4,C1,2026-01-05,2.00,",
        "B1,C1,2026-01-05,7.50,D1\nB2,C1,2026-01-05,7.50,D1\nB3,C1,2026-01-05,3.00,D3",
        columns="number,customer,day,amount,delivery",
    )
    assert (outcome.left.matched, outcome.right.matched) == (2, 2)
    assert sorted((row["class"], row["left_key"], row["right_key"]) for row in breaks if row["left_key"]) == [
        ("missing_right", "A3", None),
        ("missing_right", "A4", None),
    ]


def test_a_key_within_the_other_sides_text_is_found_whatever_signs_stand_around_it(tmp_path: Path) -> None:
    rule = '[[match]]\nname = "in the text"\non = []\ncontained = "right_key_in_left_reference"\n'
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(rule, 'reference = "text"'),
        """P1,C1,2026-01-05,10.00,payment for INV-1001 thanks
        P2,C1,2026-01-05,20.00,invoice inv 1002/2026
        P3,C1,2026-01-05,30.00,INV-10033 only
        P4,C1,2026-01-05,40.00,INV-1004""",
        """INV-1001,C1,2026-01-02,10.00,
        INV-1002,C1,2026-01-02,20.00,
        INV-1003,C1,2026-01-02,30.00,
        INV-1004,C1,2026-01-02,41.00,""",
        columns="number,customer,day,amount,text",
    )
    assert outcome.left.matched == 2
    assert {row["left_key"] for row in breaks if row["left_key"]} == {"P3", "P4"}


def test_what_is_found_by_customer_and_amount_is_matched_only_without_rivals(tmp_path: Path) -> None:
    rule = '[[match]]\nname = "customer and amount"\non = ["party", "amount"]\ndays = { before = 90, after = 0 }\n'
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(rule),
        "P1,C1,2026-02-05,10.00\nP2,C2,2026-02-05,20.00",
        "I1,C1,2026-01-05,10.00\nI2,C2,2026-01-05,20.00\nI3,C2,2026-01-06,20.00",
    )
    assert outcome.left.matched == 1
    assert {row["left_key"] or row["right_key"] for row in breaks} == {"P2", "I2", "I3"}


def test_names_that_are_alike_in_one_place_match_and_other_names_do_not(tmp_path: Path) -> None:
    rule = '[[match]]\nname = "name alike"\non = "group"\nfuzzy = { field = "party", at_least = 0.9 }\n'
    outcome, _ = reconciled(
        tmp_path,
        rules_of(rule, 'group = "place"', 'group = "place"'),
        "1,Blauer See Delikatessen,2026-01-05,0.00,68306\n2,Alfreds Futterkiste,2026-01-05,0.00,12209",
        "9,BLAUER SEE Delikatesen,2026-01-05,0.00,68306\n8,Alfreds Futterkiste,2026-01-05,0.00,99999",
        columns="number,customer,day,amount,place",
    )
    assert (outcome.left.matched, outcome.left.broken, outcome.right.broken) == (1, 1, 1)


def test_keys_are_written_alike_before_they_are_compared(tmp_path: Path) -> None:
    keys = '[keys]\nprefixes = ["SO-", "INV"]\nnormalise = ["trim", "upper", "punctuation", "leading_zeros"]\n'
    outcome, _ = reconciled(
        tmp_path,
        rules_of(keys + ONE),
        "SO-00a-1,C1,2026-01-05,1.00\n  17 ,C1,2026-01-05,2.00\n000,C1,2026-01-05,3.00",
        "INVA1,C1,2026-01-05,1.00\n0017,C1,2026-01-05,2.00\n0,C1,2026-01-05,3.00",
    )
    assert outcome.left.matched == 3


def test_a_side_with_the_other_sign_another_unit_and_another_currency_is_converted(tmp_path: Path) -> None:
    columns = 'currency = "money"\nquantity = "pieces"\nunit = "unit"\nprice = "price"'
    before = "units = { EA = 1, CS = 12 }\n"
    rates = '[currencies]\nto = "USD"\nrates = { EUR = 1.0850, JPY = 0.0067 }\n'
    rules = rules_of(rates + ONE, columns, columns, before).replace("[right]\n", "[right]\nsign = -1\n")
    outcome, breaks = reconciled(
        tmp_path,
        rules,
        "A1,C1,2026-01-05,100.00,EUR,2,CS,50\nA2,C1,2026-01-05,1000,JPY,1,EA,6.7\nA3,C1,2026-01-05,5.00,GBP,1,EA,5",
        "A1,C1,2026-01-05,-108.50,USD,-24,EA,4.166667\nA2,C1,2026-01-05,-6.70,USD,-1,EA,6.7\nA3,C1,2026-01-05,-5.00,USD,-1,PAL,5",
        columns="number,customer,day,amount,money,pieces,unit,price",
    )
    assert (outcome.left.matched, outcome.left.quarantined, outcome.right.quarantined) == (2, 1, 1)
    assert breaks == []


def test_statuses_agree_as_the_rules_pair_them(tmp_path: Path) -> None:
    pairs = '[[status]]\nleft = ["paid"]\nright = ["closed", "settled"]\n'
    outcome, breaks = reconciled(
        tmp_path,
        rules_of(ONE + pairs, 'status = "state"', 'status = "state"', causes=True),
        "A1,C1,2026-01-05,1.00,paid\nA2,C1,2026-01-05,2.00,paid\nA3,C1,2026-01-05,3.00,hold",
        "A1,C1,2026-01-05,1.00,closed\nA2,C1,2026-01-05,2.00,open\nA3,C1,2026-01-05,3.00,released",
        columns="number,customer,day,amount,state",
    )
    assert outcome.left.matched == 1
    assert [(row["class"], row["cause"]) for row in breaks] == [
        ("status", "payment not reflected"),
        ("status", "credit hold not propagated"),
    ]


def test_filters_leave_rows_out_and_count_them(tmp_path: Path) -> None:
    rules = rules_of(ONE).replace("[left]\n", '[left]\nfilter = [{ column = "customer", not_in = ["TEST"] }]\n')
    outcome, breaks = reconciled(
        tmp_path, rules, "A1,C1,2026-01-05,1.00\nA2,TEST,2026-01-05,2.00", "A1,C1,2026-01-05,1.00"
    )
    assert (outcome.left.rows_in, outcome.left.left_out, outcome.left.matched, breaks) == (2, 1, 1, [])
