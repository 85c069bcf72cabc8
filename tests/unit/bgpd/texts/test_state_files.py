import os
from pathlib import Path

import pytest

from bgpd.texts.state_files import folder_fault, make_folder, write_file


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_file(path, b"one")
    before = path.stat().st_ino
    write_file(path, b"two", 0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["victim", "missing"])
def test_a_planted_link_is_replaced_and_never_followed(
    target: str, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("precious")
    path = tmp_path / "state"
    path.symlink_to(tmp_path / target)
    write_file(path, b"ours")
    assert not path.is_symlink()
    assert path.read_bytes() == b"ours"
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "missing").exists()


def test_planted_drafts_are_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an attacker who knows the name of the draft gets nothing but an error."""
    monkeypatch.setattr("os.urandom", bytes)  # the name has their digits
    (tmp_path / "victim").write_text("precious")
    (tmp_path / f".state.{bytes(8).hex()}").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "state", b"ours")
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_fails_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(OSError):
        write_file(tmp_path / "state", b"ours")
    assert [each.name for each in tmp_path.iterdir()] == ["state"]
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "none" / "state", b"ours")


def test_a_folder_that_others_may_change_is_reported(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    path = tmp_path / "a" / "b" / "state"
    assert folder_fault(path) == ""
    (tmp_path / "a").chmod(0o777)
    assert folder_fault(path) == (
        f"{tmp_path / 'a'} is world-writable without the sticky bit"
    )
    (tmp_path / "a").chmod(0o1777)
    assert folder_fault(path) == ""


@pytest.mark.root
def test_a_folder_of_another_user_is_reported(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    assert folder_fault(tmp_path / "state") == f"{tmp_path} belongs to user 12345"
