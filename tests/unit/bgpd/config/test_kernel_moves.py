"""What the next start does to kernel routes of before, in words."""

from dataclasses import replace

import pytest

from bgpd.config.kernel_moves import kernel_moves
from bgpd.config.settings import FibSettings

BEFORE = FibSettings(table=254, protocol=12, metric=0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"persist": False, "uses_nexthop_objects": False}, []),
        (
            {"is_enabled": False, "table": 7},
            ["removes the kernel routes in table 254, protocol 12"],
        ),
        (
            {"table": 7, "protocol": 9, "metric": 3},
            ["in table 254, protocol 12 stay until table 7 has their replacements"],
        ),
        (
            {"protocol": 9},
            ["changes kernel routes in table 254, protocol 12 to protocol 9"],
        ),
        ({"metric": 3}, ["with routes that have metric 3"]),
        ({"protocol": 9, "metric": 3}, ["to protocol 9", "have metric 3"]),
    ],
)
def test_each_change_is_reported(changes: dict[str, int], expected: list[str]) -> None:
    found = [*kernel_moves(BEFORE, replace(BEFORE, **changes))]  # type: ignore[arg-type]
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line


def test_a_run_without_a_kernel_table_leaves_nothing() -> None:
    off = replace(BEFORE, is_enabled=False)
    assert [*kernel_moves(off, BEFORE)] == []
