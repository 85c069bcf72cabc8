"""Custom resources that are gone, until it is known whether their kind is.

Who deletes a custom resource definition deletes all its objects, and the API tells of each as of
any other that is deleted. To follow that would withdraw the network by mistake. So an object that left
waits for a moment, and the daemon requests the list of kinds: it shows that no object can be
created of a kind that is being deleted.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NamedTuple

FIRST_RETRY: Final = 0.5  # seconds; then twice as long
MAX_RETRY: Final = 30.0
LONGEST: Final = 10.0  # seconds for which one waits for the others
LOSS: Final = 10.0  # seconds in which one collection after the other is listed


class Departure(NamedTuple):
    """One object that left one collection."""

    collection: str
    kind: str
    name: str


AskKinds = Callable[[], Awaitable[Collection[str]]]
"""Returns the kinds that are there to stay; raises whatever a client may raise."""
Settle = Callable[[list[Departure], bool], None]
"""Takes what is gone, and whether it was lost: its kind is gone, too."""


class Departures:
    """What left, and since when.

    Args:
        ask_kinds: Asks the API.
        settle: Takes what is gone.
    """

    def __init__(self, ask_kinds: AskKinds, settle: Settle) -> None:
        self._ask_kinds = ask_kinds
        self._settle = settle
        self._due: dict[Departure, float] = {}
        self._since: dict[Departure, float] = {}
        self._lost: set[Departure] = set()  # of those
        self._lost_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def add(self, departure: Departure, delay: float) -> None:
        """Take an object that left; after some seconds it is gone.

        What leaves together goes together, though one waits longer than another: half of a
        loss must not pass for an ordinary removal.
        """
        loop = asyncio.get_running_loop()
        now = self._since[departure] = loop.time()
        others = [each for each in self._due if each.kind == departure.kind]
        due = max((now + delay, *(self._due[each] for each in others)))
        for each in (departure, *others):
            self._due[each] = min(due, self._since[each] + LONGEST)
        if self._task is None:
            self._task = loop.create_task(self._follow(), name="kubernetes departures")

    def back(self, departure: Departure) -> None:
        """An object is there again."""
        self._due.pop(departure, None)
        self._since.pop(departure, None)
        self._lost.discard(departure)

    def lost(self) -> None:
        """Take what leaves now for lost: one collection went back in time, or was gone."""
        self._lost.update(self._due)  # however long the API does not answer
        self._lost_until = asyncio.get_running_loop().time() + LOSS

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        retry = FIRST_RETRY
        while self._due:
            await asyncio.sleep(max(0.0, min(self._due.values()) - loop.time()))
            try:
                kinds = await self._ask_kinds()
            except Exception:  # noqa: BLE001  # the collections tell that the API is away
                await asyncio.sleep(retry * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
                retry = min(2 * retry, MAX_RETRY)
                continue
            retry = FIRST_RETRY
            self._let_go(kinds, loop.time())
        self._task = None

    def _let_go(self, kinds: Collection[str], now: float) -> None:
        deleted: list[Departure] = []
        lost: list[Departure] = []
        for each in [each for each, due in self._due.items() if due <= now]:
            is_ordinary = each not in self._lost and now >= self._lost_until
            is_lost = not is_ordinary or each.kind not in kinds
            (lost if is_lost else deleted).append(each)
            self.back(each)
        if deleted:
            self._settle(deleted, False)  # see `Settle`
        if lost:
            self._settle(lost, True)  # the same
