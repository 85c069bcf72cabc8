"""Changes of routes that wait to be written, as batches. Pure.

``pending`` gathers them, the newest word on a prefix in place of older ones. A batch is all that was
pending when the one before it ended, and is taken in parts; what comes meanwhile waits for the
next batch, and takes its prefixes out of this one.

A large batch of which nothing is in the kernel is arranged (``fib.new_routes``), and more of that
kind may join it.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, TypeVar

from fib.new_routes import NewRoutes

T = TypeVar("T")

JOINED_MOST = 1 << 17  # changes of a batch that others may join: 15 ms to arrange
BULK = 1024  # waiting changes at which to look at them as a whole


class Waiting(Generic[T]):
    """Prefix -> where it is to lead, ``None`` for nowhere.

    Args:
        spreads_new: Many new prefixes are written far apart, as IPv4's are.

    Attributes:
        pending: In no batch yet.
        batch: What is left of the batch.
    """

    def __init__(self, *, spreads_new: bool) -> None:
        self._spreads_new = spreads_new
        self.pending: dict[bytes, T | None] = {}
        self.batch: dict[bytes, T | None] = {}
        self._new: NewRoutes[T] | None = None  # of ``batch``

    def __len__(self) -> int:
        return len(self.pending) + len(self.batch)

    def __contains__(self, nlri: bytes) -> bool:
        return nlri in self.pending or nlri in self.batch

    def __iter__(self) -> Iterator[bytes]:
        return iter(dict.fromkeys((*self.batch, *self.pending)))

    def newest(self, nlri: bytes, otherwise: T | None) -> T | None:
        """Return the newest word on a prefix, or ``otherwise`` without one."""
        for queue in (self.pending, self.batch):
            if nlri in queue:
                return queue[nlri]
        return otherwise

    def redirect(self, entries: Collection[T], new: T) -> None:
        """Lead what is to lead to one of ``entries`` to ``new``."""
        self._new = None
        for queue in (self.batch, self.pending):
            queue.update({n: new for n, entry in queue.items() if entry in entries})

    def clear(self) -> None:
        """Forget what waits."""
        self.pending, self.batch, self._new = {}, {}, None

    # -- batches -----------------------------------------------------------------------

    def begin(self) -> None:
        """Make what is pending the batch; the last one is over."""
        self.batch, self.pending = self.pending, {}
        self._new = None

    def arrange(self) -> None:
        """Write the batch by ``take_new``: nothing of it is in the kernel."""
        self._new = NewRoutes(self.batch, spreads=self._spreads_new)

    def take(self, max_count: int) -> list[tuple[bytes, T | None]]:
        """Return up to so many changes of the batch, which is in no order from now on."""
        self._new = None
        pop = self.batch.popitem
        taken = [pop() for _ in range(min(max_count, len(self.batch)))]
        if self.pending:  # a newer word is on its way
            taken = [change for change in taken if change[0] not in self.pending]
        return taken

    def next_new(self, knows_none_of: Callable[[Iterable[bytes]], bool]) -> T | None:
        """Return where the prefixes lead that ``take_new`` will return; ``None``: ``take``.

        New prefixes that came meanwhile join the batch: the more there are, the farther
        apart they are written. They are as many as what is left, or more, so that no
        prefix is arranged more than a few times.

        Args:
            knows_none_of: Says that nothing of some prefixes is in the kernel.
        """
        new = self._new
        if new is None:
            return None
        coming, left = len(self.pending), len(self.batch)
        is_worth_it = coming >= max(BULK, left) and coming + left <= JOINED_MOST
        if new.may_grow and is_worth_it:
            new.may_grow = knows_none_of(self.pending)
            if new.may_grow:
                self.batch.update(self.pending)
                self.pending = {}
                self.arrange()
                return self.next_new(knows_none_of)
        return new.next_entry

    # hot: per prefix
    def take_new(self, max_count: int) -> list[bytes]:
        """Return up to so many prefixes of what ``next_new`` returned."""
        if self._new is None:
            return []
        nlris = self._new.take(max_count)
        deque(map(self.batch.pop, nlris), maxlen=0)
        pending = self.pending
        if pending.keys().isdisjoint(nlris):
            return nlris
        return [nlri for nlri in nlris if nlri not in pending]
