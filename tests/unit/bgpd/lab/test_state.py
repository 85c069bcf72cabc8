"""The record of labs, as far as it needs no namespaces."""

import os
import subprocess

import pytest

from bgpd.lab import state
from bgpd.lab.state import LabState, read_states, start_time, sweep


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "state_folder", lambda: tmp_path / "labs")
    return tmp_path / "labs"


def a_state(tmp_path, **changes):
    pid = os.getpid()
    values = {
        "lab_id": "t1",
        "owner_pid": pid,
        "owner_start": start_time(pid),
        "is_kept": False,
        "folder": str(tmp_path / "work"),
    }
    return LabState(**{**values, **changes})


def test_what_is_saved_is_read_again(tmp_path):
    saved = a_state(tmp_path, namespaces=["pybgpd-t1-a"])
    saved.save()
    assert read_states() == [saved]


def test_a_broken_record_hides_no_other(tmp_path, folder):
    a_state(tmp_path).save()
    (folder / "t0.json").write_text("{")
    (folder / "t2.json").write_text('{"new": 1}')
    assert [found.lab_id for found in read_states()] == ["t1"]


def test_the_lab_of_a_living_process_stays(tmp_path):
    a_state(tmp_path).save()
    assert sweep() == []
    assert len(read_states()) == 1


def test_the_lab_of_a_process_whose_id_was_used_again_goes(tmp_path):
    a_state(tmp_path, owner_start=1).save()
    (tmp_path / "work").mkdir()
    assert sweep() == ["t1"]
    assert read_states() == []
    assert not (tmp_path / "work").exists()


def test_a_kept_lab_outlives_its_owner(tmp_path):
    a_state(tmp_path, owner_start=1, is_kept=True).save()
    assert sweep() == []


def test_start_time_is_zero_for_the_dead():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) == 0  # a zombie
    child.wait()
    assert start_time(child.pid) == 0
    assert start_time(os.getpid()) > 0
