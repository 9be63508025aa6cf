from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.sandbox.journal import Journal


def test_what_was_appended_is_replayed_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "folder" / "state.jsonl")
    journal.append([{"n": 1}, {"n": 2}])
    journal.append([{"n": 3}])
    journal.close()
    assert list(Journal(tmp_path / "folder" / "state.jsonl").replay()) == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("torn", [b'{"n": 4', b'{"n": 4}', b"\xff"])
def test_a_torn_last_line_is_cut_off_and_what_follows_is_sound(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "state.jsonl"
    path.write_bytes(b'{"n": 1}\n' + torn)
    journal = Journal(path)
    assert list(journal.replay()) == [{"n": 1}]
    journal.append([{"n": 2}])
    journal.close()
    assert list(Journal(path).replay()) == [{"n": 1}, {"n": 2}]


def test_a_broken_line_within_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    path.write_bytes(b'{"n": 1}\nnonsense\n{"n": 2}\n')
    with pytest.raises(ValueError, match=r"state\.jsonl: line 2 is not a journal record"):
        list(Journal(path).replay())


def test_without_a_path_nothing_is_kept() -> None:
    journal = Journal()
    journal.append([{"n": 1}])
    assert list(journal.replay()) == []


def test_a_file_that_another_server_has_is_refused(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "state.jsonl"), Journal(tmp_path / "state.jsonl")
    first.append([{"n": 1}])
    with pytest.raises(ValueError, match="another server has this state file"):
        second.append([{"n": 2}])
    first.close()
    assert list(second.replay()) == [{"n": 1}]
