"""What the kit says of answers: the one good answer, the refusal, and that no failure shows a secret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tallystick.systems.failure import Failure, Rejected

Result = TypeVar("Result")


def succeeded(results: Sequence[Result | Failure]) -> list[Result]:
    """All answers, when every one is a success."""
    failures = [each for each in results if isinstance(each, Failure)]
    assert not failures, [f"{each.kind}: {each.message}" for each in failures]
    return [each for each in results if not isinstance(each, Failure)]


def settled(answers: Sequence[Sequence[Result | Failure]]) -> list[Result]:
    """What callers with one and the same command were answered at once, without the failures that pass by themselves.

    None may be rejected: that somebody else was faster is no reason for a person to look.
    """
    results = [answer[0] for answer in answers]
    rejections = [each.message for each in results if isinstance(each, Rejected)]
    assert not rejections, rejections
    return [each for each in results if not isinstance(each, Failure)]


def only(results: Sequence[Result | Failure]) -> Result:
    """The one answer to one command, when it is a success."""
    assert len(results) == 1, f"one command was sent, {len(results)} answers came"
    return succeeded(results)[0]


def rejected(results: Sequence[object]) -> Rejected:
    """The one refusal of one command: a business no with a code and a sentence a person can read."""
    assert len(results) == 1, f"one command was sent, {len(results)} answers came"
    refusal = results[0]
    assert isinstance(refusal, Rejected), f"expected a rejection, got {refusal!r}"
    assert refusal.message.strip(), "a rejection says why"
    assert refusal.code.strip(), "a rejection has a stable code"
    return refusal


def failed(results: Sequence[object], *kinds: type[Failure]) -> list[Failure]:
    """All answers, when every one is a failure of one of these kinds."""
    failures = [each for each in results if isinstance(each, Failure)]
    assert len(failures) == len(results), f"expected failures only, got {results!r}"
    for each in failures:
        assert isinstance(each, kinds), f"expected {[kind.kind for kind in kinds]}, got {each.kind}: {each.message}"
    return failures


def show_no_secrets(failures: Iterable[Failure], secrets: Sequence[str]) -> None:
    """Neither the message nor the excerpts for the attempt log contain a secret."""
    for failure in failures:
        shown = f"{failure.message} {failure.code} {failure.request!r} {failure.response!r}"
        for secret in secrets:
            assert secret not in shown, f"a secret is shown by {failure.code}"
