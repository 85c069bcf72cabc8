"""Long texts in pieces: bounded, and forgotten if the rest does not come."""

import asyncio

import pytest

from bgpd.api.protocol import ControlError
from bgpd.daemon.uploads import KEPT, MOST, Uploads
from bgpd.texts.limits import CONFIGURATION
from tests.support.simnet import advance, on_virtual_time


@on_virtual_time
async def test_pieces_become_one_text_once() -> None:
    uploads = Uploads()
    assert uploads.add("a", "one ") == 4
    assert uploads.add("b", "other") == 5
    assert uploads.add("a", "two") == 7
    assert uploads.take("a") == "one two"
    with pytest.raises(ControlError, match="there is no such upload"):
        uploads.take("a")
    assert uploads.take("b") == "other"


@on_virtual_time
async def test_few_texts_are_sent_at_a_time_and_slow_ones_are_forgotten() -> None:
    uploads = Uploads()
    for number in range(MOST):
        uploads.add(f"n{number}", "x")
    with pytest.raises(ControlError, match="are being sent"):
        uploads.add("one more", "x")
    uploads.add("n0", "y")
    await advance(KEPT / 2)
    uploads.add("n0", "z")
    await advance(KEPT / 2 + 1)
    assert uploads.add("one more", "x") == 1
    assert uploads.take("n0") == "xyz"
    with pytest.raises(ControlError, match="there is no such upload"):
        uploads.take("n1")


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_is_short(name: str) -> None:
    async def main() -> None:
        with pytest.raises(ControlError, match="is named by"):
            Uploads().add(name, "x")

    asyncio.run(main())


@on_virtual_time
async def test_a_text_has_the_limit_of_a_file() -> None:
    uploads = Uploads()
    half = "x" * (CONFIGURATION.octets // 2)
    uploads.add("a", half)
    uploads.add("a", half)
    with pytest.raises(ControlError, match="too long"):
        uploads.add("a", "x")
    with pytest.raises(ControlError, match="there is no such upload"):
        uploads.take("a")
