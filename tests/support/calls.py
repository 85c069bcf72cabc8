"""Counting what a piece of work calls: costs that do not depend on the machine."""

import sys
from collections.abc import Callable
from types import FrameType


def count_calls(work: Callable[[], object]) -> int:
    """Return how many functions written in Python run during ``work``.

    Compiled functions are not seen: compare two counts, and expect no number.
    """
    found = 0

    def profile(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal found
        found += event == "call"

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(former)
    return found
