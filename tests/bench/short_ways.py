"""``python -m tests.bench.short_ways``: what each short cut of the core is worth.

A reflector's work in one process, without sockets: UPDATEs are taken in, decided on and
encoded for all members. Each short cut is switched off in turn; what is printed is the
processor time without it as a multiple of that with it, the least of several runs, for
each phase of three loads. A short cut that gains less than 5 % in all of them goes.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

import bgpd.pipeline.update_receiver
import rib.loc_rib
from bgpd.pipeline.update_receiver import UpdateReceiver
from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from reflector.export import Export
from reflector.group import UpdateGroup
from reflector.pending import PendingChanges
from rib.adj_rib_in import AdjRibIn
from rib.attributes import AttributeContext, PlainAttributes, SplicedAttributes
from rib.best_path import _choose_of_two
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST
from rib.import_checks import ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.nlri import split
from rib.path import Path, Source, SourceKind
from rib.policy import ACCEPT_ALL, Policy
from tests.support.exports import a_context
from tests.support.routes import some_attributes

RUNS: Final = 15
LOCAL_AS: Final = 64512
CONTEXT: Final = AttributeContext(
    is_ibgp=True, four_octet_as=True, peer_as=LOCAL_AS, local_as=LOCAL_AS
)
_FIRST: Final = 0x0A000000  # of the prefixes
Phases = dict[str, float]


def an_update(block: bytes, nlris: Sequence[bytes]) -> bytes:
    return pack_announce(IPV4_UNICAST, block, b"", nlris, 65535)[19:]


class Reflector:
    """Sources with their tables, and one group that all of them are members of."""

    def __init__(self, sources: int) -> None:
        self.loc_rib = LocRib(IPV4_UNICAST)
        self.pending = PendingChanges(self.loc_rib.table)
        self.group = UpdateGroup(
            Export(a_context(cluster_id=7), Policy(ACCEPT_ALL)),
            pack_announce,
            pack_withdraw,
            pack_blocks,
        )
        rules = ImportChecks(
            Policy(ACCEPT_ALL),
            local_as=LOCAL_AS,
            router_id=7,
            cluster_ids=frozenset({7}),
            own_addresses=frozenset({bytes((10, 0, 0, 1))}),
        )
        hops = NextHopTable()
        self.ribs = []
        self.intakes = []
        for number in range(sources):
            source = Source(
                f"client {number}",
                SourceKind.IBGP,
                address=(0x0A010000 + number).to_bytes(4, "big"),
                router_id=number + 1,
                is_client=True,
                cluster_id=7,
            )
            rib = AdjRibIn(source, self.loc_rib, rules, hops)
            self.ribs.append(rib)
            self.intakes.append(UpdateReceiver({IPV4_UNICAST: rib}, CONTEXT))
            self.group.join(source)

    def take(self, updates: Mapping[int, Sequence[bytes]]) -> float:
        """Take in what sources send, and tell all members; return seconds."""
        gc.collect()
        started = time.process_time()
        for number, bodies in updates.items():
            taken = self.intakes[number].take(bodies)
            if not taken.changes[IPV4_UNICAST]:
                raise AssertionError("the load changes nothing")
            self.pending.add(taken.changes[IPV4_UNICAST])
        outbound = self.group.encode(self.pending.drain(1 << 30))
        if outbound is not None:
            for source in self.group.members:
                outbound.share_of(source)
        return time.process_time() - started

    def lose(self, number: int) -> float:
        """Lose a source with all its routes; return seconds."""
        gc.collect()
        started = time.process_time()
        rib = self.ribs[number]
        rib.make_stale()
        for changes in rib.sweep_stale():
            self.pending.add(changes)
        self.group.encode(self.pending.drain(1 << 30))
        return time.process_time() - started


def nodes() -> Phases:
    """1,000 clients with four blocks each: all new, from a second session, changed."""
    world = Reflector(2000)

    def updates(first: int, med: int | None) -> dict[int, list[bytes]]:
        found = {}
        for number in range(1000):
            block = some_attributes(
                next_hop=f"10.1.{number >> 8}.{number & 255}", local_pref=100, med=med
            ).octets
            found[first + number] = [
                an_update(
                    block,
                    [b"\x1a" + (_FIRST + (4 * number + n << 6)).to_bytes(4, "big")],
                )
                for n in range(4)
            ]
        return found

    return {
        "new": world.take(updates(0, None)),
        "second": world.take(updates(1000, None)),
        "changed": world.take(updates(0, 5)),
    }


def two_peers(
    world: Reflector, updates: Callable[[int, int], dict[int, list[bytes]]]
) -> Phases:
    """Let one peer send a table, and another; the first changes its MED, and is lost."""
    return {
        "first": world.take(updates(0, 5)),
        "second": world.take(updates(1, 5)),
        "changed": world.take(updates(0, 6)),
        "lost": world.lose(0),
    }


def slash_24s(first: int, count: int) -> list[bytes]:
    return [
        b"\x18" + ((_FIRST >> 8) + number).to_bytes(3, "big")
        for number in range(first, first + count)
    ]


def gateways() -> Phases:
    """Two gateways with 40,000 routes in 400 attribute sets; one is lost."""
    world = Reflector(8)

    def updates(number: int, med: int) -> dict[int, list[bytes]]:
        bodies = []
        for which in range(400):
            block = some_attributes(
                f"65001 {which + 1}",
                next_hop=f"10.1.0.{number + 1}",
                local_pref=100,
                med=med,
            ).octets
            bodies.append(an_update(block, slash_24s(which * 100, 100)))
        return {number: bodies}

    return two_peers(world, updates)


def reflectors() -> Phases:
    """Two reflectors with the same 20,000 routes, in sets of three on average."""
    world = Reflector(8)

    def updates(number: int, med: int) -> dict[int, list[bytes]]:
        bodies, first = [], 0
        for which in range(6000):
            block = some_attributes(
                f"65001 {which + 1}",
                next_hop="10.1.0.1",
                local_pref=100,
                med=med,
                communities=(which,),
                large_communities=((65001, which, 1),) if which % 7 == 0 else (),
                originator_id=0x0A010001,
                cluster_list=(0x0A020000 + number,),
            ).octets
            size = 1 + which % 6
            bodies.append(an_update(block, slash_24s(first, size)))
            first += size
        return {number: bodies}

    return two_peers(world, updates)


def _announce_each(
    self: LocRib, paths: Sequence[Path], runs: Sequence[Any], source: Source
) -> Any:
    return [
        change
        for path, run in zip(paths, runs, strict=True)
        for change in self._announce_any(run, path)
    ]


def _choose(a: Path, b: Path, options: DecisionOptions) -> Path:
    one = (a, a.attributes.decision_fields())
    return _choose_of_two(one, (b, b.attributes.decision_fields()), options, None)


def _put_none(_batch: Any, changes: Any, *_rest: Any) -> Any:
    return list(changes)


def _pack_none(routes: Mapping[bytes, Any], tail: bytes, _most: int) -> Any:
    return b"", {block + tail: pieces for block, pieces in routes.items()}


def _no_short_intake(make: Callable[..., None]) -> Callable[..., None]:
    def init(self: UpdateReceiver, *arguments: Any) -> None:
        make(self, *arguments)
        self._plain_ipv4 = None

    return init


SHORT_WAYS: Final[Mapping[str, Callable[[], Any]]] = {
    "all of plain attributes": lambda: patch.object(PlainAttributes, "is_plain", False),
    "all of spliced attributes": lambda: patch.object(
        SplicedAttributes, "is_spliced", False
    ),
    "UpdateReceiver._take_plain": lambda: patch.object(
        UpdateReceiver, "__init__", _no_short_intake(UpdateReceiver.__init__)
    ),
    "split_tail": lambda: patch.object(
        bgpd.pipeline.update_receiver,
        "split_tail",
        lambda body, start: split(body[start:]),
    ),
    "LocRib.announce_all": lambda: patch.object(LocRib, "announce_all", _announce_each),
    "choose_of_two": lambda: patch.object(rib.loc_rib, "choose_of_two", _choose),
    "put_reflected": lambda: patch("reflector.group.put_reflected", _put_none),
    "pack_blocks": lambda: patch(f"{__name__}.pack_blocks", _pack_none),
}
LOADS: Final[Mapping[str, Callable[[], Phases]]] = {
    "nodes": nodes,
    "gateways": gateways,
    "reflectors": reflectors,
}


def least(load: Callable[[], Phases], names: Sequence[str]) -> dict[str, Phases]:
    """Return the least times of each variant, taken in turns; ``""`` is all short cuts."""
    found: dict[str, Phases] = {}
    for _ in range(RUNS):
        for name in ("", *names):
            with ExitStack() as stack:
                if name:
                    stack.enter_context(SHORT_WAYS[name]())
                times = load()
            best = found.setdefault(name, times)
            found[name] = {phase: min(best[phase], times[phase]) for phase in times}
    return found


def lines(names: Sequence[str]) -> Iterator[str]:
    """Yield the report."""
    for title, load in LOADS.items():
        found = least(load, names)
        with_all = found.pop("")
        shown = ", ".join(f"{k} {1000 * v:.1f} ms" for k, v in with_all.items())
        yield f"{title}: {shown}"
        for name, times in found.items():
            ratios = (f"{k} {v / with_all[k]:.2f}" for k, v in times.items())
            yield f"  without {name}: {', '.join(ratios)}"


if __name__ == "__main__":
    for line in lines(sys.argv[1:] or [*SHORT_WAYS]):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
