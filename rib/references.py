"""The reference count that CPython reports for a value only its own table refers to.

Interned values are dropped once nothing but the interning table has them. The count that
shows this is not part of the language: it depends on how the interpreter passes arguments
and whether a local variable owns what it names, which differs between versions. So it is
measured when the program starts, in code of the same shape as that which sweeps, and an
interpreter that does not count one more for one more holder is refused.
"""

import sys
from collections.abc import Callable
from typing import Final


class _Probe:
    """A plain object, as the interned ones are."""

    __slots__ = ()


def _counts_of(
    values: dict[int, object], keys: list[int], count: Callable[[object], int]
) -> list[int]:
    counts = []
    for key in keys:
        value = values.get(key)
        counts.append(count(value))
    return counts


def calibrate(count: Callable[[object], int]) -> int:
    """Return what ``count`` says of a value in a dictionary without other references.

    It is asked as the sweeps ask: for a local variable that ``dict.get`` has set.

    Raises:
        RuntimeError: It is not one more for one holder more, nor two more for two.
    """
    one = two = _Probe()
    held = _Probe()
    values: dict[int, object] = {0: _Probe(), 1: held, 2: one}
    found = _counts_of(values, [0, 1, 2], count)
    del held, one, two
    unused = found[0]
    if found != [unused, unused + 1, unused + 2]:
        raise RuntimeError(
            f"Python {sys.version.split()[0]} ({sys.implementation.name}) counts"
            f" {found} references where 1, 2 and 3 more objects hold a value: tables"
            " could not tell what is in use. Use CPython 3.11 or newer."
        )
    return unused


UNUSED: Final = calibrate(sys.getrefcount)
"""``getrefcount`` of a value that only its table holds, called as in ``calibrate``."""
