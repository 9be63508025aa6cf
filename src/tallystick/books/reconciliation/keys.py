"""Keys written alike: what two systems call the same thing, made the same text."""

from __future__ import annotations

import ibis

from tallystick.books.reconciliation.rules import Keys


def normalised(part: ibis.Value, keys: Keys) -> ibis.Value:
    """One part of a key as text, by the rules: prefixes off, the expression applied, then the steps in their order."""
    text = as_text(part)
    if keys.prefixes:
        longest_first = sorted(keys.prefixes, key=len, reverse=True)
        # Trimmed first, or blanks in front would hide the prefix.
        text = text.strip()
        text = ibis.cases(*((text.startswith(each), text.substr(len(each))) for each in longest_first), else_=text)
    if keys.regexp:
        text = text.re_replace(keys.regexp.find, keys.regexp.replace)
    for step in keys.normalise:
        if step == "trim":
            text = text.strip()
        elif step == "upper":
            text = text.upper()
        elif step == "leading_zeros":
            text = text.re_replace(r"^0+(.)", r"\1")
        else:
            text = text.re_replace(r"[^\p{L}\p{N}]+", "")
    return text


def as_text(part: ibis.Value) -> ibis.Value:
    """A value as text; the 1001.0 that spreadsheets make of a number is 1001."""
    if part.type().is_string():
        return part
    if part.type().is_floating():
        whole = part.try_cast("int64")
        return ibis.ifelse(whole.cast("float64") == part, whole.cast("string"), part.cast("string"))
    return part.cast("string")


def changes_nothing(keys: Keys) -> bool:
    """Whether keys stay as they are, so that whole numbers can be compared as such."""
    return not (keys.prefixes or keys.regexp or keys.normalise)
