"""Work in turns is done in order, and others have their turn between."""

import asyncio
from collections.abc import Generator

import pytest

from bgpd.worker import turns
from bgpd.worker.turns import collect, in_turns
from tests.support.speakers import on_both_loops
from tests.support.turns import turn


def some_work(steps: list[str]) -> Generator[None, None, str]:
    for number in range(3):
        steps.append(f"step {number}")
        yield
    return "done"


@on_both_loops
async def test_each_turn_but_the_last_is_followed_by_others() -> None:
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "BUDGET", -1.0)  # a step is a turn
        work = asyncio.ensure_future(
            in_turns(some_work(steps), lambda: steps.append("after"))
        )
        while not work.done():
            steps.append("others")
            await turn()
    assert await work == "done"
    assert "".join(step[0] for step in steps) == "o" + "sao" * 3


@on_both_loops
async def test_little_work_is_done_at_once() -> None:
    steps: list[str] = []
    assert await in_turns(some_work(steps), lambda: steps.append("after")) == "done"
    assert steps == ["step 0", "step 1", "step 2"]


@on_both_loops
async def test_breaths_are_left_out() -> None:
    assert await in_turns(collect([1, None, 2])) == [1, 2]
