"""Our daemon, reading a cluster in one of several ways, and writing down what it sees.

Takes the daemon's own arguments. `READER_WAY` is a name of `WAYS`; `READER_FIGURES` names a file to
which each SIGUSR2 adds a line of JSON: what came since the last one. Without the file nothing is
sampled, so that the processor time is the daemon's alone.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bgpd.cli.daemon import main
from bgpd.daemon import daemon
from bgpd.datastore.kubernetes import source
from bgpd.datastore.kubernetes.answers import Object
from bgpd.datastore.kubernetes.client import ApiClient
from bgpd.datastore.kubernetes.collection import Collection
from bgpd.datastore.kubernetes.query import Query
from bgpd.node.route_origination import RouteOrigination
from bgpd.runtime.loop_lag import LagMeter

FIGURES: Final = "READER_FIGURES"
WAY: Final = "READER_WAY"
_PERIOD: Final = 0.001  # seconds
_NOTED: Final = 0.02  # seconds of a stall that is written down by itself
_MOST_NOTED: Final = 50


class Way(NamedTuple):
    """How a cluster is read.

    Attributes:
        datastore: What the configuration says of it.
        is_whole: Nodes come whole, and affinities of all nodes do.
    """

    datastore: Mapping[str, str] = MappingProxyType({})
    is_whole: bool = False


WAYS: Final[Mapping[str, Way]] = MappingProxyType(
    {
        "usual": Way(),
        "needed": Way(MappingProxyType({"nodes": "needed"})),
        "whole": Way(is_whole=True),
    }
)


@dataclass
class Seen:
    """What was seen since the last line was written.

    Attributes:
        events: Watch events other than bookmarks.
        bookmarks: Watch events that say only how far the server is.
        lists: Collections that were listed to the end.
        stall: Seconds of the longest time in which the loop did not run.
        stall_cpu: The same by the processor time that its thread used: what a machine that
            does nothing else would have seen.
        stalls: Of the long ones: when, how long, how much of it was processor time; seconds.
        has_begun: A list was requested.
        has_blocks_at: When the node's blocks were originated first; monotonic seconds.
    """

    events: int = 0
    bookmarks: int = 0
    lists: int = 0
    stall: float = 0.0
    stall_cpu: float = 0.0
    stalls: list[tuple[float, float, float]] = field(default_factory=list)
    has_begun: bool = False
    has_blocks_at: float = 0.0


SEEN: Final = Seen()


class StallMeter(LagMeter):
    """Looks each millisecond how long the loop was away, once a list was requested.

    Before that nothing is read, and modules are imported.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        at_rest: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(loop, at_rest)
        self._seen_at, self._cpu = time.monotonic(), time.thread_time()
        self._chain = loop.call_later(_PERIOD, self._look)
        loop.add_signal_handler(signal.SIGUSR2, self._write)

    def _look(self) -> None:
        now, cpu = time.monotonic(), time.thread_time()
        stall, worked = now - self._seen_at, cpu - self._cpu
        self._seen_at, self._cpu = now, cpu
        if SEEN.has_begun:
            SEEN.stall = max(SEEN.stall, stall)
            SEEN.stall_cpu = max(SEEN.stall_cpu, worked)
            if stall > _NOTED and len(SEEN.stalls) < _MOST_NOTED:
                SEEN.stalls.append((now, round(stall, 4), round(worked, 4)))
        self._chain = self._loop.call_later(_PERIOD, self._look)

    def _write(self) -> None:
        with Path(os.environ[FIGURES]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(SEEN)) + "\n")
        begun = Seen(has_begun=True, has_blocks_at=SEEN.has_blocks_at)
        for name in asdict(begun):
            setattr(SEEN, name, getattr(begun, name))

    def close(self) -> None:
        """Stop measuring."""
        super().close()
        self._chain.cancel()


def _take_note(collection: type[Collection]) -> None:
    """Let each list and event of a collection be counted."""
    take, listing = collection._take, collection._list  # what is measured

    def taken(self: Collection, verb: str, content: Object) -> None:
        if verb == "BOOKMARK":
            SEEN.bookmarks += 1
        else:
            SEEN.events += 1
        take(self, verb, content)

    async def listed(self: Collection, api: ApiClient) -> None:
        SEEN.has_begun = True
        await listing(self, api)
        SEEN.lists += 1

    setattr(collection, "_take", taken)  # noqa: B010  # for all that are made
    setattr(collection, "_list", listed)  # noqa: B010  # the same


def read_whole() -> None:
    """Read without what spares octets: whole nodes, and all affinities."""
    usual, usual_list = source.KubernetesDatastore.__init__, Collection.__init__

    def begin(self: source.KubernetesDatastore, *given: Any, **named: Any) -> None:
        usual(self, *given, **named | {"all_blocks": True})

    def begin_list(self: Collection, query: Query, *given: Any) -> None:
        usual_list(self, query._replace(has_metadata_alone=False), *given)

    setattr(source.KubernetesDatastore, "__init__", begin)  # noqa: B010  # for all that are made
    setattr(Collection, "__init__", begin_list)  # noqa: B010  # the same


def note_blocks(has_blocks: Callable[[], None]) -> None:
    """Call ``has_blocks`` each time the node's blocks were originated."""
    apply_node = RouteOrigination.apply_node

    def noted(self: RouteOrigination, desired: Any) -> None:  # its own
        apply_node(self, desired)
        if desired.originated:
            has_blocks()

    setattr(RouteOrigination, "apply_node", noted)  # noqa: B010  # as sampled


def _has_blocks() -> None:
    SEEN.has_blocks_at = SEEN.has_blocks_at or time.monotonic()


def _sample() -> None:
    _take_note(Collection)
    note_blocks(_has_blocks)
    setattr(daemon, "LagMeter", StallMeter)  # noqa: B010  # the daemon makes one


if __name__ == "__main__":
    if WAYS[os.environ.get(WAY, "usual")].is_whole:
        read_whole()
    if os.environ.get(FIGURES):
        _sample()
    main()
