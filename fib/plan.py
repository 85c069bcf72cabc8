"""What must be written so that the kernel holds what is wanted. Pure.

``RouteTable`` is one family's bookkeeping. Wishes queue in it (newest wins), ``take`` a
few at a time and ``decide`` turns them into operations; the sender hands the
refusals to ``settle``. What the kernel really holds is compared by ``audit_*``.

Where a prefix stands::

    pending    wished, not looked at yet
    wanted     looked at: the kernel holds it as its ``Entry`` says, unless it is in
    failed     wanted, and not in the kernel: refused, in conflict, or gone
    stale      in the kernel with our protocol number, and not wanted yet

The kernel identifies a route by prefix and metric whichever program owns it, and a REPLACE does not
ask whose route it replaces. So what may belong to another program is only ever created with
EXCL, and replaced only where we know the present route as ours; deletions name our
protocol number, which the kernel checks.
"""

import errno
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from itertools import islice, repeat

from fib.routes import Fault, FibRoute, RouteState, Target
from fib.waiting import BULK, Waiting

_SAMPLE = 64
GONE = Fault(errno.ENOENT, "the route vanished from the kernel")
LINK_LOST = Fault(errno.ENETDOWN, "the kernel removed the route with its link")


class Verb(IntEnum):
    """What is done to one route."""

    CREATE = 1  # fails where any route of that prefix and metric exists
    REPLACE = 2
    DELETE = 3  # only matches our protocol number


CREATE, REPLACE, DELETE = Verb.CREATE, Verb.REPLACE, Verb.DELETE


class Entry:
    """A target as the kernel gets it; shared by all prefixes that lead there.

    Attributes:
        target: The requested target.
        image: What the kernel shows of such a route; equal images are equal routes.
            ``None`` until resolved.
        metric: Kernel priority, with the family's default filled in.
        fault: Why nothing can lead there at present; ``None`` if it can.
        is_ready: ``image`` and ``fault`` are up to date.
        count: Prefixes in ``wanted`` and ``stale`` that refer to it.
        is_gone: The kernel dropped all its routes at once; the prefixes that still refer
            to it wait to lead elsewhere.
        object_id: The kernel's next-hop object that routes refer to; 0 for none.
        uses_object: Routes are to refer to a next-hop object.
        body: The back-end's prepared octets of a new route.
        delete_body: The same of a removal.
    """

    __slots__ = (
        "body",
        "count",
        "delete_body",
        "fault",
        "image",
        "is_gone",
        "is_ready",
        "metric",
        "object_id",
        "target",
        "uses_object",
    )

    def __init__(self, target: Target, metric: int, *, uses_object: bool) -> None:
        self.target = target
        self.metric = metric
        self.uses_object = uses_object
        self.image: Hashable = None
        self.fault: Fault | None = None
        self.is_ready = False
        self.is_gone = False
        self.count = 0
        self.object_id = 0
        self.body: tuple[bytes, bytes] = (b"", b"")
        self.delete_body: tuple[bytes, bytes] = (b"", b"")

    def is_left_for(self, want: "Entry | None") -> bool:
        """Say whether a route that leads here has to be written to follow a wish."""
        return want is None or (want is not self and want.target != self.target)

    def __repr__(self) -> str:
        return f"Entry({self.target}, object {self.object_id}, {self.fault})"


Operation = tuple[Verb, bytes, Entry]
Change = tuple[bytes, Entry | None]


class RouteTable:
    """The routes of one address family: what is wanted and what the kernel holds.

    Args:
        spreads_new: Many new routes are written far apart, as IPv4's are.

    Attributes:
        waiting: Changes that are not looked at yet.
        is_sweeping: Stale routes are removed as soon as nothing else waits.
        adopted_count: Routes that became stale since start.
    """

    def __init__(self, *, spreads_new: bool = True) -> None:
        self.waiting: Waiting[Entry] = Waiting(spreads_new=spreads_new)
        self.wanted: dict[bytes, Entry] = {}
        self.failed: dict[bytes, Fault] = {}
        self.stale: dict[bytes, Entry] = {}
        self.is_sweeping = False
        self.adopted_count = 0
        # Our own prefix, found twice with different metrics: (nlri, entry).
        self._surplus: list[tuple[bytes, Entry]] = []
        self._unseen: set[bytes] = set()

    # -- wishes ------------------------------------------------------------------------

    # hot: per prefix
    def submit(self, nlris: Iterable[bytes], entry: Entry | None) -> None:
        """Note the new entry of ``nlris``; ``None`` for nowhere."""
        self.waiting.pending.update(dict.fromkeys(nlris, entry))

    def desired(self, nlri: bytes) -> Entry | None:
        """Return the newest word on a prefix."""
        return self.waiting.newest(nlri, self.wanted.get(nlri))

    def requeue(self, nlris: Iterable[bytes]) -> None:
        """Look again at prefixes that are wanted; newer wishes stay."""
        for nlri in nlris:
            entry = self.wanted.get(nlri)
            if entry is not None and nlri not in self.waiting.batch:
                self.waiting.pending.setdefault(nlri, entry)

    def redirect(self, entries: set[Entry], new: Entry) -> None:
        """Repoint every prefix that is to lead to one of ``entries`` to ``new``."""
        waiting = self.waiting
        waiting.redirect(entries, new)
        moving = {n for n, entry in self.wanted.items() if entry in entries}
        moving -= waiting.batch.keys()
        moving -= waiting.pending.keys()
        self.submit(moving, new)

    @property
    def waiting_count(self) -> int:
        """Changes that ``take`` has not returned yet."""
        waiting = len(self.waiting)
        if self.is_sweeping:
            waiting += len(self.stale) + len(self._surplus)
        return waiting

    # -- all of an entry's routes at once ----------------------------------------------

    @property
    def has_leftovers(self) -> bool:
        """Whether the kernel has routes of this daemon that are not wanted yet."""
        return bool(self.stale or self._surplus)

    def left_by_most(self) -> Entry | None:
        """Return which entry the first of many waiting changes leave, if they do."""
        pending = self.waiting.pending
        if len(pending) < BULK:
            return None
        some = Counter(
            have
            for nlri, want in islice(pending.items(), _SAMPLE)
            if (have := self.wanted.get(nlri)) is not None and have.is_left_for(want)
        )
        entry, times = next(iter(some.most_common(1)), (None, 0))
        return entry if times > _SAMPLE // 2 else None

    def whole_moves(self) -> list[tuple[Entry, Entry | None]]:
        """Begin a batch; return entries that all their prefixes leave for one other.

        ``None`` stands for nowhere. Only entries of many prefixes are returned, and none
        that another prefix is about to lead to.
        """
        waiting = self.waiting
        waiting.begin()
        if _are_new(self, waiting.batch):
            waiting.arrange()
            return []
        have = map(self.wanted.get, waiting.batch)
        moves = _count_pairs(have, waiting.batch.values())
        joined = {
            want for have, want in moves if have is None or have.is_left_for(want)
        }
        return [
            (have, want)
            for (have, want), count in moves.items()
            if have is not None
            and count >= BULK
            and count == have.count
            and have.is_left_for(want)
            and have not in joined
        ]

    # -- operations --------------------------------------------------------------------

    def next_new(self) -> Entry | None:
        """Return where the prefixes lead that ``take_new`` will return; ``None``: ``take``."""
        if self.stale:
            return None
        return self.waiting.next_new(partial(_are_new, self))

    # hot: per prefix
    def take_new(self, entry: Entry, max_count: int) -> list[bytes]:
        """Return up to ``max_count`` prefixes to be created; ``next_new`` returned their entry.

        It must be ready. As with ``decide``, success is taken for granted.
        """
        nlris = self.waiting.take_new(max_count)
        self.wanted.update(dict.fromkeys(nlris, entry))
        entry.count += len(nlris)
        return nlris

    def take(self, max_count: int) -> list[Change]:
        """Return up to ``max_count`` changes to decide on; empty when nothing waits."""
        if not self.waiting.batch:
            self.waiting.begin()
        if self.waiting.batch:
            return self.waiting.take(max_count)
        if self.is_sweeping and self.stale:
            return [(nlri, None) for nlri in islice(self.stale, max_count)]
        return []

    # hot: per prefix
    def decide(self, changes: Sequence[Change]) -> list[Operation]:
        """Return the operations of ``changes``, taking for granted that they succeed.

        Every entry must be ready.
        """
        if (operations := self._all_new(changes)) is not None:
            return operations
        wanted, failed, stale = self.wanted, self.failed, self.stale
        operations = []
        add = operations.append
        for nlri, want in changes:
            have = wanted.get(nlri)
            if have is None:
                if stale:
                    have = stale.pop(nlri, None)
                if have is not None:
                    have.count -= 1
            else:
                have.count -= 1
                if (failed and failed.pop(nlri, None) is not None) or have.is_gone:
                    have = None
            if want is None:
                wanted.pop(nlri, None)
                if have is not None:
                    add((DELETE, nlri, have))
                continue
            if want.fault is not None:
                failed[nlri] = want.fault
                if have is not None:
                    add((DELETE, nlri, have))
            elif have is None:
                add((CREATE, nlri, want))
            elif have is want or have.image == want.image:
                # Forwarding is the same; keep what is written, but follow the object
                # that a later retarget will change.
                if have.object_id != want.object_id:
                    want = have  # noqa: PLW2901 - the entry the kernel really has
            elif have.metric == want.metric:
                add((REPLACE, nlri, want))
            else:
                # Another metric is another route to the kernel: make before break.
                add((CREATE, nlri, want))
                add((DELETE, nlri, have))
            want.count += 1
            wanted[nlri] = want
        return operations

    # hot: per prefix
    def _all_new(self, changes: Sequence[Change]) -> list[Operation] | None:
        """Decide on prefixes that are all new and lead to one entry; ``None`` if not."""
        want = changes[0][1] if changes else None
        if want is None or want.fault is not None or self.stale:
            return None
        fresh = dict(changes)
        wants = list(fresh.values())
        if wants.count(want) < len(changes) or not self.wanted.keys().isdisjoint(fresh):
            return None
        self.wanted.update(dict.fromkeys(fresh, want))
        want.count += len(fresh)
        return list(zip(repeat(CREATE), fresh, repeat(want), strict=False))

    def take_surplus(self) -> list[Operation]:
        """Drain the removals of second routes for a prefix, once sweeping began."""
        if not self.is_sweeping:
            return []
        surplus, self._surplus = self._surplus, []
        wanted = self.wanted
        return [
            (DELETE, nlri, entry)
            for nlri, entry in surplus
            # A wish of meanwhile may stand in the place where the second one was.
            if nlri not in wanted or wanted[nlri].metric != entry.metric
        ]

    def settle(
        self,
        operations: Sequence[Operation],
        faults: Mapping[int, Fault],
        *,
        is_retry: bool,
    ) -> list[Operation]:
        """Note which operations the kernel rejected, and return what must be done next.

        Args:
            operations: As sent.
            faults: By index into ``operations``.
            is_retry: These were returned by ``settle`` themselves.
        """
        follow_up: list[Operation] = []
        for index, fault in faults.items():
            verb, nlri, entry = operations[index]
            if verb is DELETE or self.wanted.get(nlri) is not entry:
                continue  # a removal of what is not there is as good as done
            self.failed[nlri] = fault
            if verb is REPLACE:
                # The old route is still there, and is not wanted any more.
                follow_up.append((DELETE, nlri, entry))
            elif fault.errno == errno.EEXIST and not is_retry:
                # Ours without our knowledge, or another program's: a removal that
                # names our protocol decides, and cannot hurt the other.
                follow_up.append((DELETE, nlri, entry))
                follow_up.append((CREATE, nlri, entry))
        if follow_up:
            for verb, nlri, _ in follow_up:
                if verb is CREATE:
                    self.failed.pop(nlri, None)
        return follow_up

    # -- what the kernel says ----------------------------------------------------------

    def lose(self, nlri: bytes, metric: int, fault: Fault) -> bool:
        """Note that our route is gone from the kernel; say whether it is wanted."""
        entry = self.wanted.get(nlri)
        if entry is not None and entry.metric == metric:
            if nlri in self.failed:
                return False
            self.failed[nlri] = fault
            return True
        entry = self.stale.get(nlri)
        if entry is not None and entry.metric == metric:
            del self.stale[nlri]
            entry.count -= 1
        return False

    def audit_begin(self) -> None:
        """Start a comparison with the whole of the kernel's routes of our protocol."""
        self._unseen = (self.wanted.keys() - self.failed.keys()) | self.stale.keys()
        self._surplus = []

    # hot: per prefix, in audits
    def audit(self, routes: Iterable[tuple[bytes, Entry]]) -> list[bytes]:
        """Compare some of the kernel's routes; return prefixes found changed.

        They are queued for repair. Unwanted routes become stale.
        """
        wanted, unseen = self.wanted, self._unseen
        changed = []
        for nlri, seen in routes:
            entry = wanted.get(nlri)
            if entry is not None and (
                entry is seen
                or (entry.image == seen.image and entry.object_id == seen.object_id)
            ):
                unseen.discard(nlri)
                if self.failed:
                    self.failed.pop(nlri, None)
            elif self._audit_other(nlri, seen):
                changed.append(nlri)
        return changed

    def _audit_other(self, nlri: bytes, seen: Entry) -> bool:
        known = self.wanted.get(nlri)
        if known is not None:
            if seen.metric != known.metric:
                self._surplus.append((nlri, seen))
                return False
            is_drift = nlri not in self.failed
            self._unseen.discard(nlri)
            self.failed.pop(nlri, None)
            if nlri not in self.waiting.batch:
                self.waiting.pending.setdefault(nlri, known)
            self.wanted[nlri] = seen
        else:
            known = self.stale.get(nlri)
            if known is not None and nlri not in self._unseen:
                self._surplus.append((nlri, seen))
                return False
            is_drift = False
            self._unseen.discard(nlri)
            self.adopted_count += known is None
            self.stale[nlri] = seen
        if known is not None:
            known.count -= 1
        seen.count += 1
        return is_drift

    def observe(self, nlri: bytes, seen: Entry) -> list[bytes]:
        """Take in one route of the kernel, outside of an audit; as ``audit``."""
        if nlri in self.stale and self.stale[nlri].metric == seen.metric:
            self._unseen.add(nlri)  # a change of it, no second one
        return self.audit(((nlri, seen),))

    def audit_missing(self, max_count: int) -> tuple[list[bytes], bool]:
        """Return some prefixes that were not found, and whether that were all.

        They are marked as lost; the caller requeues them.
        """
        missing = []
        unseen = self._unseen
        for _ in range(min(max_count, len(unseen))):
            nlri = unseen.pop()
            entry = self.stale.pop(nlri, None)
            if entry is not None:
                entry.count -= 1
            elif nlri in self.wanted and nlri not in self.failed:
                self.failed[nlri] = GONE
                missing.append(nlri)
        return missing, not unseen

    # -- for people --------------------------------------------------------------------

    def describe(self) -> Iterator[FibRoute]:
        """Yield every route with its state."""
        for nlri in dict.fromkeys((*self.wanted, *self.waiting)):
            route = self._describe_wanted(nlri)
            if route is not None:
                yield route
        for nlri, entry in list(self.stale.items()):
            yield FibRoute(nlri, entry.target, RouteState.STALE)

    def describe_one(self, nlri: bytes) -> FibRoute | None:
        """Return one prefix's route with its state; ``None`` without one."""
        route = self._describe_wanted(nlri)
        if route is None and nlri in self.stale:
            return FibRoute(nlri, self.stale[nlri].target, RouteState.STALE)
        return route

    def _describe_wanted(self, nlri: bytes) -> FibRoute | None:
        entry = self.desired(nlri)
        if entry is None:
            return None
        is_queued = nlri in self.waiting
        fault = self.failed.get(nlri)
        return FibRoute(nlri, entry.target, _state(fault, is_queued=is_queued), fault)


def _are_new(routes: RouteTable, nlris: Iterable[bytes]) -> bool:
    """Say whether nothing is known of some prefixes."""
    return not routes.stale and routes.wanted.keys().isdisjoint(nlris)


# hot: per prefix
def _count_pairs(
    have: Iterable[Entry | None], want: Iterable[Entry | None]
) -> dict[tuple[Entry | None, Entry | None], int]:
    """Count equal changes; mostly all are equal, and then no pair is made."""
    olds, news = [*have], [*want]
    for values in (olds, news):
        if not values or values.count(values[0]) < len(values):
            return Counter(zip(olds, news, strict=True))
    return {(olds[0], news[0]): len(news)}


def _state(fault: Fault | None, *, is_queued: bool) -> RouteState:
    if is_queued:
        return RouteState.PENDING
    if fault is None:
        return RouteState.INSTALLED
    is_conflict = fault.errno == errno.EEXIST
    return RouteState.CONFLICT if is_conflict else RouteState.FAILED
