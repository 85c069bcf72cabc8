"""What the collector looks at, and when."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from bgpd.runtime import event_loop


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    event_loop.tune_collector()
    yield
    gc.set_threshold(*thresholds)


def young_objects() -> list[list[int]]:
    gc.collect()
    return [[number] for number in range(event_loop.YOUNG + 1000)]


def a_knot() -> weakref.ref[Knot]:
    return weakref.ref(Knot())


def test_few_young_objects_are_left_alone() -> None:
    gc.collect()
    knot = a_knot()
    assert not event_loop.collect_young()
    assert knot() is not None


@pytest.mark.parametrize("wanted", [0, event_loop.YOUNG // 2, 2 * event_loop.YOUNG])
def test_garbage_among_many_is_found(wanted: int) -> None:
    many, knot = young_objects(), a_knot()
    assert event_loop.collect_young(wanted)
    assert knot() is None
    assert len(many) > event_loop.YOUNG


@pytest.mark.slow
def test_young_objects_that_are_nearly_all_in_use_wait_for_a_full_collection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many, knot = young_objects(), a_knot()
    frozen = gc.get_freeze_count()
    assert event_loop.collect_young(len(many))
    # Some of what was frozen before may have gone meanwhile.
    assert gc.get_freeze_count() > frozen + event_loop.YOUNG
    assert knot() is not None
    assert not event_loop.collect_young()
    event_loop.collect_at_rest()
    assert knot() is not None
    monkeypatch.setattr(event_loop, "FULL_INTERVAL", -1.0)
    event_loop.collect_at_rest()
    assert knot() is None
    assert gc.get_freeze_count() > len(many)


@pytest.mark.slow
def test_kept_objects_wait_for_a_full_collection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gc.collect()
    few, frozen = a_knot(), gc.get_freeze_count()
    event_loop.keep_young()
    assert gc.get_freeze_count() == frozen
    many, knot = young_objects(), a_knot()
    assert few() is None
    event_loop.keep_young()
    assert gc.get_freeze_count() > frozen + event_loop.YOUNG
    assert not event_loop.has_many_young()
    assert knot() is not None
    monkeypatch.setattr(event_loop, "FULL_INTERVAL", -1.0)
    event_loop.collect_at_rest()
    assert knot() is None
    assert many


def test_many_young_objects_are_collected_while_at_rest() -> None:
    many, knot = young_objects(), a_knot()
    event_loop.collect_at_rest()
    assert knot() is None
    assert many


def test_what_was_in_use_while_it_was_young_is_collected_a_second_time() -> None:
    event_loop.collect_at_rest()
    knot = Knot()
    found = weakref.ref(knot)
    many = [young_objects()]
    assert event_loop.collect_young()  # it survives: its work is not done
    assert found() is not None
    del knot
    for _ in range(event_loop.MIDDLE):
        many.append([[number] for number in range(event_loop.YOUNG + 1000)])
        assert event_loop.collect_young()
    assert found() is None
    assert (
        len(gc.get_objects(generation=2)) < event_loop.YOUNG
    )  # it is not looked at again


@pytest.mark.slow
def test_what_one_turn_made_in_masses_is_not_looked_at_in_one_go() -> None:
    event_loop.collect_at_rest()
    many: list[object] = []
    knot = Knot()
    found = weakref.ref(knot)
    for _ in range(event_loop.MIDDLE):
        many.append([[number] for number in range(20 * event_loop.YOUNG)])
        many.append([[number] for number in range(event_loop.YOUNG + 1000)])
        assert event_loop.collect_young()
    del knot
    frozen = gc.get_freeze_count()
    many.append([[number] for number in range(event_loop.YOUNG + 1000)])
    assert event_loop.collect_young()
    assert gc.get_freeze_count() > frozen + event_loop.MIDDLE * 20 * event_loop.YOUNG
    assert found() is not None  # until the next full collection


@pytest.mark.parametrize("at_once", [0, 10**9])
def test_a_busy_process_looks_at_everything_where_that_is_not_much(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    knot = Knot()
    found = weakref.ref(knot)
    gc.freeze()
    del knot
    many = [young_objects()]
    assert event_loop.collect_young()
    assert found() is not None  # out of all looks but one at everything
    monkeypatch.setattr(event_loop, "FULL_INTERVAL", -1.0)
    monkeypatch.setattr(event_loop, "AT_ONCE", at_once)
    many.append([[number] for number in range(event_loop.YOUNG + 1000)])
    assert event_loop.collect_young()
    assert (found() is None) == (at_once > 0)
    assert many
