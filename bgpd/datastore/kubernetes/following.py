"""The collections of one API group, followed at once, and what they say together."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from bgpd.calico.kubernetes_objects import AFFINITY_TYPE, RESOURCES
from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import NOT_FOUND
from bgpd.datastore.kubernetes.collection import Collection
from bgpd.datastore.kubernetes.departures import Departure, Departures
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.groups import kinds_to_stay
from bgpd.datastore.kubernetes.items import Items
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.kubernetes.troubles import TroubleLog, troubles

LINGER: Final = 5.0
"""Seconds for which an affinity that left one collection may come back in the other: it is
given its labels, and two watches have no common order."""
DEPARTURE: Final = 0.5
"""Seconds until a custom resource that left is gone, if its kind is there to stay."""
UNLABELLED: Final = f"!{AFFINITY_TYPE}"
WITHOUT: Final = frozenset(
    {"BGPConfiguration", "BGPPeer", "BGPFilter", "IPReservation", "ClusterInformation"}
)
"""Kinds that a cluster may lack, such as one of an earlier release. Nodes, pools and
affinities must have been listed before the first snapshot."""
NEEDLESS: Final = frozenset({"IPReservation"})
"""Kinds that change nothing but warnings: a role need not grant them."""


class Losses(Protocol):
    """Takes objects that left a collection, in place of ``Items``."""

    def lost(self, collection: str, name: str) -> None:
        """A collection has an object no more, which may still be there."""

    def found(self, collection: str, name: str) -> None:
        """A collection has an object, perhaps again."""


class _Followed(NamedTuple):
    """One collection, under the name that it has in ``Items``."""

    name: str
    collection: Collection
    task: "asyncio.Task[None]"


class _Receiver:
    """Takes the objects of one collection."""

    def __init__(self, following: "Following", name: str, query: Query) -> None:
        self._following = following
        self._name = name
        self._delay = LINGER if query.label_selector == UNLABELLED else DEPARTURE
        self.losses: Losses | None = None

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        following = self._following
        if self.losses is not None:
            self.losses.found(self._name, name[1])
        following.departures.back(Departure(self._name, kind, name[1]))
        following.items.put(self._name, kind, name[1], content)

    def drop(self, kind: str, name: ObjectName) -> None:
        following = self._following
        if self.losses is not None:
            self.losses.lost(self._name, name[1])
        elif kind in RESOURCES:
            departure = Departure(self._name, kind, name[1])
            following.departures.add(departure, self._delay)
        else:
            following.items.drop(self._name, kind, name[1])

    def changed(self, *, is_loss: bool = False) -> None:
        if is_loss:
            self._following.is_loss = True
            self._following.departures.lost()
        self._following.news.set()


class Following:
    """Follows collections, each in a task of its own.

    Args:
        items: Takes what they have.
        access: Credentials.
        note: Takes failures, for people.
        group: Of the custom resources.

    Attributes:
        items: What there is.
        departures: Custom resources that left.
        is_loss: Among what has gone since the last look is some that was lost.
        news: Set whenever something may have changed; each waiter clears it, looks and
            waits, without a pause between.
        node_events: Events about Nodes that have come, of collections that ended too.
    """

    def __init__(
        self,
        items: Items,
        access: Access,
        note: Callable[[str], None],
        group: str,
    ) -> None:
        self.items = items
        self.departures = Departures(self._ask_kinds, self._settle)
        self.is_loss = False
        self._group = group
        self._troubles = TroubleLog(self._collections)
        self.news = asyncio.Event()
        self._access = access
        self._note = note
        self._count = 0
        self._ended_events = 0
        self._followed: dict[Query, _Followed] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def _collections(self) -> list[Collection]:
        return [each.collection for each in self._followed.values()]

    async def _ask_kinds(self) -> frozenset[str]:
        async with self._access.connect() as api:
            try:
                return kinds_to_stay(await api.get(f"apis/{self._group}"))
            except ApiError as error:
                if error.code == NOT_FOUND:  # the last of the group's kinds is gone
                    return frozenset()
                raise

    def _settle(self, gone: list[Departure], is_loss: bool) -> None:  # noqa: FBT001  # see `Settle`
        for each in gone:
            self.items.drop(*each)
        self.is_loss = self.is_loss or is_loss
        self.news.set()

    def add(self, query: Query, losses: Losses | None = None) -> None:
        """Follow a collection, unless it is followed already."""
        if query in self._followed:
            return
        name = f"{self._count:06}"  # the first to be followed counts, where two differ
        self._count += 1
        receiver = _Receiver(self, name, query)
        receiver.losses = losses
        collection = Collection(query, self._access.connect, receiver, self._noted)
        task = asyncio.get_running_loop().create_task(
            collection.follow(), name=f"kubernetes {query}"
        )
        self._followed[query] = _Followed(name, collection, task)

    def end(self, query: Query) -> None:
        """Follow a collection no more; what no other has is gone."""
        name, collection, task = self._followed.pop(query)
        self._end_task(task)
        self._ended_events += collection.event_count
        for each in collection.names:
            self.items.drop(name, query.kind, each[1])
        self.news.set()

    @property
    def queries(self) -> tuple[Query, ...]:
        """What is followed."""
        return tuple(self._followed)

    @property
    def node_events(self) -> int:
        """Events about Nodes that have come."""
        return self._ended_events + sum(
            each.collection.event_count
            for query, each in self._followed.items()
            if query.kind == "Node"
        )

    def names(self, queries: Iterable[Query]) -> frozenset[str]:
        """Return the names of what some collections have."""
        return frozenset(
            name
            for query in queries
            if query in self._followed
            for _, name in self._followed[query].collection.names
        )

    def are_listed(self, queries: Iterable[Query]) -> bool:
        """Return whether collections were read whole once."""
        return all(self._followed[query].collection.is_listed for query in queries)

    @property
    def is_listed(self) -> bool:
        """Whether all was read once that a cluster cannot do without."""
        return all(
            each.collection.is_listed or _is_missed(each.collection)
            for each in self._followed.values()
        )

    @property
    def is_followed(self) -> bool:
        """Whether changes would be noticed now."""
        return all(
            each.collection.is_followed or _is_missed(each.collection)
            for each in self._followed.values()
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong with objects, and which collections are not followed."""
        away = map(str, troubles(self._collections()))
        unreadable = [
            f"{each.query.kind} {name or 'without a name'}: {problem}"
            for each in self._collections()
            for name, problem in each.unreadable.items()
        ]
        return (*away, *unreadable, *self.items.warnings())

    def abandon(self) -> None:
        """Stop following; the tasks end by themselves."""
        self._troubles.close()
        self.departures.close()
        for each in self._followed.values():
            self._end_task(each.task)

    async def close(self) -> None:
        """Stop following, and wait for the end."""
        self.abandon()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end_task(self, task: "asyncio.Task[None]") -> None:
        if not task.done():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        task.cancel()

    def _noted(self, error: str) -> None:
        self.news.set()
        self._troubles.changed()
        self._note(error)


def _is_missed(collection: Collection) -> bool:
    """Return whether the node can do without a kind that it cannot read."""
    kind, fault = collection.query.kind, collection.fault
    is_needless = fault.is_refused and kind in NEEDLESS
    return is_needless or (fault.is_absent and kind in WITHOUT)
