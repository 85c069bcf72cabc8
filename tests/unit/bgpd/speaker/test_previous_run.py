"""Whether a start is a restart, and what survived."""

import os

import pytest

from bgpd.speaker import previous_run
from bgpd.speaker.previous_run import RunMarker, evaluate, this_kernel
from rib.family import IPV4_UNICAST, IPV6_UNICAST

FOUR, SIX = frozenset({IPV4_UNICAST}), frozenset({IPV6_UNICAST})
BOTH, NONE = FOUR | SIX, frozenset[object]()


@pytest.mark.rfc("4724", "3", "MUST")
@pytest.mark.parametrize(
    ("has_kernel", "found", "mark", "is_restart", "preserved"),
    [
        (False, NONE, "", True, BOTH),
        (True, NONE, "", False, NONE),
        (True, FOUR, "", True, FOUR),
        (True, NONE, "here", True, BOTH),
        (True, FOUR, "here", True, BOTH),
        (True, NONE, "elsewhere", True, NONE),
        (True, SIX, "elsewhere", True, SIX),
    ],
)
def test_flags_tell_the_truth(has_kernel, found, mark, is_restart, preserved) -> None:
    start = evaluate(BOTH, has_kernel=has_kernel, found=found, mark=mark, kernel="here")
    assert start.is_restart is is_restart
    assert start.preserved == preserved
    # Without kernel and mark there is nothing to tell: it may be a first start.
    assert start.is_certain is (has_kernel or bool(mark))


def test_the_mark_lasts_until_it_is_removed(tmp_path) -> None:
    path = str(tmp_path / "run" / "pybgpd.sock")
    assert RunMarker(path).read() == ""
    RunMarker(path).write()
    assert RunMarker(path).read() == this_kernel()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["pybgpd.ran"]
    RunMarker(path).remove()
    RunMarker(path).remove()
    assert RunMarker(path).read() == ""


def test_a_boot_without_a_name_is_no_other_run_s(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(previous_run, "_BOOT", tmp_path / "hidden")
    assert this_kernel() == this_kernel()
    assert this_kernel().startswith("unknown-")
    mark = RunMarker(str(tmp_path / "pybgpd.sock"))
    mark.write()
    monkeypatch.setattr(previous_run, "_UNKNOWN_BOOT", "unknown-of-the-next-run")
    start = evaluate(
        BOTH, has_kernel=True, found=frozenset(), mark=mark.read(), kernel=this_kernel()
    )
    assert start.is_restart
    assert start.preserved == NONE


def test_the_mark_is_written_and_read_through_no_link(tmp_path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "pybgpd.ran").symlink_to(tmp_path / "victim")
    mark = RunMarker(str(tmp_path / "pybgpd.sock"))
    assert mark.read() == ""
    mark.write()
    assert (tmp_path / "victim").read_text() == "precious"
    assert mark.read() == this_kernel()


def test_a_fifo_instead_of_the_marker_holds_up_nothing(tmp_path) -> None:
    os.mkfifo(tmp_path / "pybgpd.ran")
    mark = RunMarker(str(tmp_path / "pybgpd.sock"))
    assert mark.read() == ""
    mark.write()
    assert mark.read() == this_kernel()


def test_without_a_control_socket_there_is_no_mark() -> None:
    mark = RunMarker("")
    mark.write()
    mark.remove()
    assert mark.read() == ""


def test_a_marker_that_cannot_be_written_is_logged(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    mark = RunMarker(str(tmp_path / "file" / "pybgpd.sock"))
    mark.write()
    mark.remove()
    assert "cannot write the restart marker" in caplog.text
