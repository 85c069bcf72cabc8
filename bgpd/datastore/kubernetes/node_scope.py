"""Which Nodes are read of Kubernetes' API: all, or those that the own node needs."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from typing import Final, NamedTuple

from bgpd.calico.kubernetes_objects import ConversionError, item_of
from bgpd.calico.label_selectors import (
    NoLabelSelectorError,
    label_selectors,
    written,
)
from bgpd.calico.needed_nodes import NodeNeeds, facts_of_node, filter_of
from bgpd.calico.selectors import SelectorError
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import PAGE
from bgpd.datastore.kubernetes.collection import name_of
from bgpd.datastore.kubernetes.following import Following
from bgpd.datastore.kubernetes.left_nodes import LeftNodes
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.model import NodesRead
from bgpd.texts.errors import text_of

# Theory
# ------
#       needs --> label selectors, names --> collections --all listed--> a check --> in force
#                                                                          |
#                   all Nodes <--one was hidden-----------------------------'
#
# A node needs few others (`bgpd.calico.needed_nodes`). They are found by label selectors, so
# the API server sends nothing about the rest. Those have two gaps, and a check closes both: a
# list of all Nodes, as metadata, compares what is needed with what was read.
#
# * Labels that Calico's tools gave are in an annotation, and no label selector sees them. If
#   the check finds a Node that is needed by such a label, all Nodes are read until a later
#   check finds none.
# * A BGPPeer may name a node by its address, which nothing selects. The check finds its
#   name, and by that it is followed.
#
# Invariants:
#
# * Needs are in force once all that they ask for was listed and checked, and not before. What
#   was needed until then is read until then: nothing goes before the other is there.
#   Events say which needs they satisfy, so the planner can wait (`bgpd.datastore.needed`).
# * A Node that leaves a label selector is requested by name. If it is still there, it counts
#   with what it says now: it was not removed.
# * A check that fails changes nothing. The next one comes soon.
#
# The cost of a check is that of one list, out of the API server's cache. That is why it is
# slow, slower still in large clusters, and spread.

MOST_COLLECTIONS: Final = 16  # each is a connection; with more, all Nodes are read
CONFIRM_AFTER: Final = (
    2.0  # seconds after which a check that found a hidden Node is made again
)
SPREAD: Final = (
    5.0  # seconds over which nodes spread what one change leads all of them to
)
CHECK_AGAIN: Final = 30.0  # seconds after a check that failed
FEW_NODES: Final = 1000  # in clusters with more, checks are rarer in proportion
_SHOWN: Final = 3
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")  # of a Node

_log = logging.getLogger(__name__)


class _SupersededError(Exception):
    """Other Nodes are needed meanwhile."""


class _Check(NamedTuple):
    """What a list of all Nodes says.

    Attributes:
        needed: Names of those that are needed.
        by_address: Those of them that a BGPPeer names by address.
        total: Nodes of the cluster.
    """

    needed: frozenset[str]
    by_address: frozenset[str]
    total: int


class _Report(NamedTuple):
    """What the last check came to.

    Attributes:
        named: Nodes that are read by name because of their address.
        hidden: Needed Nodes that no label selector finds.
        checked_at: When, seconds of the wall clock; 0 for never.
        total: Nodes of the cluster.
    """

    named: frozenset[str] = frozenset()
    hidden: tuple[str, ...] = ()
    checked_at: float = 0.0
    total: int = 0


class NodeScope:
    """Follows those Nodes that are needed.

    Args:
        following: Where their collections are followed.
        access: Credentials.
        everything: All Nodes.
        needs: Which are needed at first.
        check_time: Seconds between two checks; 0 makes none.
        note: Takes failures, for people.

    Attributes:
        in_force: Needs for which all was read; ``None`` before the first.
    """

    def __init__(
        self,
        following: Following,
        access: Access,
        everything: Query,
        *,
        needs: NodeNeeds,
        check_time: float,
        note: Callable[[str], None],
    ) -> None:
        self.in_force: NodeNeeds | None = None
        self._following = following
        self._access = access
        self._everything = everything
        self._needs = needs
        self._check_time = check_time
        self._note = note
        self._news = asyncio.Event()
        self._error = ""
        self._settled_needs: NodeNeeds | None = None
        self._report = _Report()
        self._left = LeftNodes(
            following, access, everything, still_there=self._check_soon, note=note
        )
        for query in self._by_name(needs.names):
            following.add(query)

    @property
    def status(self) -> NodesRead:
        """What is read now."""
        queries = [each for each in self._following.queries if each.kind == "Node"]
        return NodesRead(
            scope="all" if self._why_all else "needed",
            reason=self._why_all,
            names=tuple(sorted(self._needs.names | self._report.named)),
            selectors=tuple(sorted(filter(None, (q.label_selector for q in queries)))),
            is_pending=self.in_force is None or not self.in_force.covers(self._needs),
            checked_at=self._report.checked_at,
            hidden=self._report.hidden,
            events=self._following.node_events,
        )

    def warnings(self) -> tuple[str, ...]:
        """Return why not all is as it should be."""
        found = []
        if self.in_force is not None and not self.in_force.covers(self._needs):
            found.append(
                "changes of peers and nodes wait until all needed Nodes are read"
            )
        if self._error:
            found.append(f"needed Nodes cannot be checked: {self._error}")
        if self._report.hidden:
            found.append(_of_hidden(self._report.hidden))
        return tuple(found)

    @property
    def _why_all(self) -> str:
        """Why all Nodes are read; empty where they are not."""
        return "" if self.in_force is None else self.in_force.why_all

    def want(self, needs: NodeNeeds) -> None:
        """Let these Nodes be needed from now on."""
        if needs != self._needs:
            self._needs = needs
            self._news.set()
            self._following.news.set()

    async def run(self) -> None:
        """Read what is needed, and check it, for ever."""
        try:
            while True:
                self._news.clear()
                wait = await self._settled()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()
        finally:
            self._left.abandon()

    async def _settled(self) -> float | None:
        """Read what is needed now; return the seconds until that is checked again."""
        try:
            await self._settle(self._needs)
        except _SupersededError:
            return 0.0
        except Exception as error:  # noqa: BLE001  # whatever a client may raise
            text = text_of(error)
            if text != self._error:
                _log.warning(
                    "kubernetes: needed Nodes cannot be checked: %(reason)s",
                    {"event": "node-check-failed", "kind": "Node", "reason": text},
                )
            self._error = text
            self._note(f"Nodes: {text}")
            return CHECK_AGAIN * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
        self._error = ""
        if not self._check_time or (self._why_all and not self._report.hidden):
            return None
        share = max(1.0, self._report.total / FEW_NODES)
        return self._check_time * share * random.uniform(0.8, 1.2)  # noqa: S311  # jitter

    async def _settle(self, needs: NodeNeeds) -> None:
        queries = self._by_name(needs.names)
        why_all = needs.why_all
        before = self._settled_needs
        is_start = before is None or before == NodeNeeds(before.names)  # the own Node
        if not why_all:
            try:
                queries += self._by_labels(needs)
            except NoLabelSelectorError as error:
                why_all = str(error)
        if not why_all and len(queries) > MOST_COLLECTIONS:
            why_all = f"it would take more than {MOST_COLLECTIONS} collections"
        await self._read([] if why_all else queries, needs)
        by_label = bool(self._check_time and needs.selectors)  # by name none is hidden
        has_list = why_all or by_label or needs.addresses
        if has_list and not is_start and needs != before:
            await self._pause(SPREAD * random.random(), needs)  # noqa: S311  # jitter
        if why_all:
            await self._settle_all(needs, why_all)
        elif has_list:
            await self._settle_checked(needs, queries)
        else:
            self._enter(needs, queries, "")

    async def _settle_all(self, needs: NodeNeeds, why_all: str) -> None:
        self._report = self._report._replace(named=frozenset(), hidden=())
        await self._read([self._everything], needs)
        self._enter(needs, [self._everything], why_all)

    async def _settle_checked(self, needs: NodeNeeds, queries: list[Query]) -> None:
        """Compare what label selectors find with what is needed, and read the rest."""
        check = await self._check(needs)
        found = self._following.names(queries)
        named = check.by_address - found
        queries += self._by_name(named)
        if len(queries) > MOST_COLLECTIONS:
            await self._settle_all(needs, "BGPPeers name many nodes by address")
            return
        await self._read(queries, needs)
        hidden = frozenset[str]()
        if self._check_time:
            hidden = check.needed - self._following.names(queries)
        if hidden:
            await self._pause(CONFIRM_AFTER, needs)  # it may just have been labelled
            check = await self._check(needs)
            hidden &= check.needed - self._following.names(queries)
        why_all = ""
        if hidden:
            why_all = _of_hidden(hidden)
            queries.append(self._everything)
            await self._read(queries, needs)
        self._tell(_Report(named, tuple(sorted(hidden)), time.time(), check.total))
        self._enter(needs, queries, why_all)

    def _tell(self, report: _Report) -> None:
        before, self._report = self._report, report
        if report.hidden and not before.hidden:
            _log.warning(
                "kubernetes: %(reason)s; all Nodes are read now",
                {
                    "event": "nodes-hidden",
                    "kind": "Node",
                    "reason": _of_hidden(report.hidden),
                },
            )
        elif before.hidden and not report.hidden:
            _log.info(
                "kubernetes: label selectors find all needed Nodes again",
                {"event": "nodes-restored", "kind": "Node"},
            )

    def _enter(self, needs: NodeNeeds, queries: Iterable[Query], why_all: str) -> None:
        """Let needs be in force, and what they do not ask for be read no more."""
        if why_all != self._why_all or self.in_force is None:
            _log.info(
                "kubernetes: all Nodes are read: %(reason)s"
                if why_all
                else "kubernetes: the needed Nodes alone are read",
                {"event": "nodes-selected", "kind": "Node", "reason": why_all},
            )
        self._settled_needs = needs
        self.in_force = needs._replace(why_all=why_all)
        kept = set(queries)
        for query in self._following.queries:
            if query.kind == "Node" and query not in kept:
                self._following.end(query)
        self._following.news.set()

    # -- collections --------------------------------------------------------------------

    def _by_name(self, names: Iterable[str]) -> list[Query]:
        possible = filter(_NAME.fullmatch, sorted(names))  # there is no other node
        selectors = [f"metadata.name={name}" for name in possible]
        return [self._everything._replace(field_selector=text) for text in selectors]

    def _by_labels(self, needs: NodeNeeds) -> list[Query]:
        found: dict[str, None] = {}
        for text in sorted(needs.selectors):
            with suppress(SelectorError):  # it matches no node
                try:
                    found.update(dict.fromkeys(map(written, label_selectors(text))))
                except NoLabelSelectorError as error:
                    raise NoLabelSelectorError(f"selector {text}: {error}") from error
        return [self._everything._replace(label_selector=each) for each in found]

    async def _read(self, queries: list[Query], needs: NodeNeeds) -> None:
        """Follow collections, and wait until all of them are listed.

        Raises:
            _SupersededError: Other Nodes are needed meanwhile.
        """
        following = self._following
        for query in queries:
            following.add(query, self._left if query.label_selector else None)
        while not following.are_listed(queries):
            following.news.clear()
            if self._needs != needs:
                raise _SupersededError
            await following.news.wait()

    async def _pause(self, seconds: float, needs: NodeNeeds) -> None:
        """Wait.

        Raises:
            _SupersededError: Other Nodes are needed meanwhile.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        if self._needs != needs:
            raise _SupersededError

    # -- the check ----------------------------------------------------------------------

    def _check_soon(self, key: str, value: bytes) -> None:
        """Check what is read, if a Node that left all label selectors is needed still."""
        if filter_of(self._needs)(key, value):
            self._news.set()

    async def _check(self, needs: NodeNeeds) -> _Check:
        """List all Nodes, and return which are needed.

        Raises:
            Exception: The answer is none.
        """
        query = Query("Node", self._everything.path, has_metadata_alone=True)
        is_needed = filter_of(needs)
        needed: set[str] = set()
        by_address: set[str] = set()
        total = 0
        async with (
            self._access.connect() as api,
            aclosing(api.cached(query, "0", PAGE)) as pieces,
        ):
            async for piece in pieces:
                await asyncio.sleep(
                    0
                )  # what has arrived already must not hold the loop
                for content in piece.objects:
                    try:
                        item = item_of("Node", content)
                    except ConversionError:
                        continue
                    total += 1
                    if item.value is None or not is_needed(item.key, item.value):
                        continue
                    name = name_of(content)[1]
                    needed.add(name)
                    if not needs.addresses.isdisjoint(facts_of_node(item.value)[1]):
                        by_address.add(name)
        return _Check(frozenset(needed), frozenset(by_address), total)


def _of_hidden(hidden: Iterable[str]) -> str:
    names = sorted(hidden)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"Node {', '.join(names[:_SHOWN])}{more} is needed, and its labels in Kubernetes do "
        "not say so: they are in the annotation projectcalico.org/labels alone"
    )
