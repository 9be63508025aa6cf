"""Every parser of bytes from outside refuses as it promises, whatever comes: bytes at random, and good inputs gone wrong."""

from __future__ import annotations

import pytest
from fuzz.target import Target
from fuzz.targets import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# What parsers stumble over, by kind: brackets and numbers without end, spaces, marks, halves of characters.
_LONG = (b"[" * 3_000, b"9" * 5_000, b"1e99999999999999999999", b"NaN", b"-1", b"true", b"null")
_MARKS = (b"\0", b"\n", b"\r", b'"', b"{", b"}", b",", b";", b":", b"=", b" ")
_CHARACTERS = (b"\xef\xbb\xbf", b"\xff", b"\\ud800", b"\\u0000", "\u0661".encode(), "\u2028".encode())
_PIECES = st.sampled_from((*_LONG, *_MARKS, *_CHARACTERS))


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few of its places cut out, doubled, or replaced by something that parsers stumble over."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + draw(st.one_of(_PIECES, st.binary(max_size=8), st.just(data[start:end] * 2))) + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_good_inputs_are_what_targets_begin_from(target: Target) -> None:
    for seed in target.seeds:
        target.attempt(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_whatever_comes_is_taken_or_refused_as_promised(target: Target) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(damaged(target.seeds), st.binary(max_size=60)))
    def attempt(data: bytes) -> None:
        target.attempt(data)

    attempt()
