import sys

import pytest

from rib.references import UNUSED, calibrate


def test_one_holder_more_is_one_reference_more() -> None:
    assert calibrate(sys.getrefcount) == UNUSED
    held = object()
    values = {0: held}
    value = values.get(0)
    assert sys.getrefcount(value) == UNUSED + 1


@pytest.mark.parametrize(
    "count",
    [
        lambda _: 1,  # an interpreter that counts nothing
        lambda value: 2 * sys.getrefcount(value),
        lambda _: 1 << 32,  # immortal
    ],
)
def test_an_interpreter_that_counts_otherwise_is_rejected(count) -> None:
    with pytest.raises(RuntimeError, match="Use CPython"):
        calibrate(count)
