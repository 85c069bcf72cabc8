"""Foreign changes of our routes, counted and put right."""

import logging

import pytest

from fib.drift import Drift
from fib.repairs import PATIENT
from rib.family import IPV4_UNICAST
from rib.nlri import parse_prefix

PREFIX = parse_prefix("10.1.0.0/16")[1]


def test_a_fight_is_put_right_later_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    drift = Drift()
    for _ in range(PATIENT):
        assert drift.note(IPV4_UNICAST, PREFIX, 5.0)
    assert drift.next_due is None
    assert not drift.note(IPV4_UNICAST, PREFIX, 5.0)
    assert (drift.count, drift.repaired) == (PATIENT + 1, PATIENT)
    assert "10.1.0.0/16" in caplog.text
    due = drift.next_due
    assert due is not None
    assert due > 5.0
    assert drift.due(5.0) == []
    assert drift.due(due) == [(IPV4_UNICAST, PREFIX)]
    assert drift.repaired == PATIENT + 1


def test_what_a_comparison_found_counts_as_put_right() -> None:
    drift = Drift()
    drift.note_found(IPV4_UNICAST, 7)
    assert (drift.count, drift.repaired) == (7, 7)


def test_a_fight_that_is_over_is_forgotten() -> None:
    drift = Drift()
    for _ in range(PATIENT):
        drift.note(IPV4_UNICAST, PREFIX, 0.0)
    drift.forget(1000.0)
    assert drift.note(IPV4_UNICAST, PREFIX, 1000.0)
