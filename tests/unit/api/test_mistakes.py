"""Mistakes are told in words: which character, how many, of what form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tallystick.api.mistakes import in_words
from tallystick.documents.order import Order
from tallystick.documents.party import Address
from tallystick.documents.values import Identifier, LongText

IDENTIFIER = TypeAdapter(Identifier)
NOTES = TypeAdapter(LongText)


def told(adapter: TypeAdapter[str], value: str) -> str:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    return in_words(refused.value.errors()[0])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("C\x001", "character 2 is U+0000"),
        ("  C\x001", "character 4 is U+0000"),
        ("abc\u202etxt", "character 4 is U+202E"),
        ("abc\x1f", "character 4 is U+001F"),
        ("\x1fabc", "U+001F"),
    ],
)
def test_character_that_is_not_taken_is_named_with_its_place(value: str, said: str) -> None:
    assert said in told(IDENTIFIER, value)


def test_notes_may_have_lines_and_no_bell() -> None:
    assert "character 5 is U+0007" in told(NOTES, "a\nb\t\x07")


@given(st.text(max_size=30))
def test_whatever_the_text_there_are_words(text: str) -> None:
    assert "U+" in told(IDENTIFIER, f"{text}\x00{text}"[:64])


def test_form_count_and_unknown_field_are_told_plainly() -> None:
    with pytest.raises(ValidationError) as refused:
        Address.model_validate({"country": "usa"})
    assert in_words(refused.value.errors()[0]) == "must be of the form ^[A-Z]{2}$"
    with pytest.raises(ValidationError) as refused:
        Order.model_validate_json('{"colour": "red"}')
    assert "there is no such field; is it misspelt?" in [in_words(each) for each in refused.value.errors()]
