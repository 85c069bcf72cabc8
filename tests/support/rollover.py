"""A pair of reflectors is rolled over as the documentation says; who loses what meanwhile.

Routers of several makers are clients in one range, their timers as delivered. Each is asked
all the time which routes it has, in a thread of its own.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router

LAB = """
nodes:
  rr1:
    addresses: [10.0.0.1/24]
    router:
      {{kind: pybgpd, as: 65001, cluster_id: 9.9.9.1, fib: false,
        neighbours: [{{node: rr2}}], config: {config}}}
  rr2:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, cluster_id: 9.9.9.2, fib: false,
        neighbours: [{{node: rr1}}], config: {config}}}
{clients}
"""
_CLIENT = """
  {kind}:
    addresses: [10.0.0.{number}/24]
    router:
      {{kind: {kind}, as: 65001, fib: false, connect_retry: {retry},
        originate: [10.{number}.0.0/24],
        neighbours: [{{node: rr1}}, {{node: rr2}}]}}
"""
_RANGE = (
    "{ranges: [{name: clients, prefix: 10.0.0.0/24, as: 65001, client: true}],"
    " next_hops: {resolve: trust}}"
)
REFLECTORS = ("rr1", "rr2")


def topology(*kinds: str, retry: int = 120) -> str:
    """Return two reflectors and a client of each maker, in their range."""
    clients = "".join(
        _CLIENT.format(kind=kind, number=number, retry=retry)
        for number, kind in enumerate(kinds, 11)
    )
    return LAB.format(config=_RANGE, clients=clients)


def prefixes(*kinds: str) -> dict[str, str]:
    """Return which prefix each client announces."""
    return {kind: f"10.{number}.0.0/24" for number, kind in enumerate(kinds, 11)}


def fewest_paths(router: Router, wanted: Iterable[str]) -> int:
    """Return how many paths a router has at least to each prefix."""
    routes = router.routes()
    return min(len(routes.get(prefix, ())) for prefix in wanted)


@dataclass
class Sightings:
    """What was seen of one prefix at one client.

    Attributes:
        looks: How often the watch looked for it.
        fewest: The fewest paths seen at once.
        gaps: Beginning and end of each time without a path, monotonic seconds.
    """

    looks: int = 0
    fewest: int = 99
    gaps: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds_lost(self) -> float:
        """All time without a path."""
        return sum(end - start for start, end in self.gaps)

    def note(self, paths: int, since: float, now: float) -> None:
        """Note what was seen at ``now``; the time before that was ``since``."""
        self.looks += 1
        self.fewest = min(self.fewest, paths)
        if not paths:
            if self.gaps and self.gaps[-1][1] >= since:
                self.gaps[-1] = self.gaps[-1][0], now
            else:
                self.gaps.append((since, now))


@contextmanager
def watching(
    clients: dict[str, Router], wanted: dict[str, str], pause: float = 0.1
) -> Iterator[dict[tuple[str, str], Sightings]]:
    """Look at all clients' routes all the time; yields what is seen, by client and owner.

    Args:
        clients: By name.
        wanted: Name of its owner -> prefix.
        pause: Seconds between looks at one client.
    """
    seen = {
        (name, owner): Sightings()
        for name in clients
        for owner in wanted
        if owner != name
    }
    is_over = threading.Event()

    def watch(name: str) -> None:
        before = time.monotonic()
        while not is_over.wait(pause):
            now = time.monotonic()
            try:
                routes = clients[name].routes()
            except LabError:
                continue  # it did not answer: nothing was seen
            for owner, prefix in wanted.items():
                if owner != name:
                    paths = len(routes.get(prefix, ()))
                    seen[name, owner].note(paths, before, now)
            before = now

    threads = [threading.Thread(target=watch, args=(name,)) for name in clients]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
