"""Counting what a piece of work calls: costs that do not depend on the machine."""

import gc
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

    former, has_gc = sys.getprofile(), gc.isenabled()
    gc.disable()  # hypothesis, for one, has it call back
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(former)
        if has_gc:
            gc.enable()
    return found
