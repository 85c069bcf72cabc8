"""The figures of the readers and of the herd, as Markdown. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from tests.bench.kubernetes.processes import Usage

_MIB = 1 << 20


class Phase(NamedTuple):
    """What one way of reading brought about in a time; counters count from the start on.

    Attributes:
        seconds: How long.
        usage: Of the daemon that is not sampled.
        requests: Of that daemon in this time, by verb.
        relayed: What the relay counted for it.
        seen: What the sampled daemon has seen in this time.
        started_at: When that one was started; monotonic seconds.
    """

    seconds: float
    usage: Usage
    requests: Counter[str]
    relayed: Mapping[str, int]
    seen: Mapping[str, Any]
    started_at: float


class HerdFigures(NamedTuple):
    """What the start of many daemons took.

    Attributes:
        nodes: Of the cluster.
        daemons: How many were started.
        seconds: Until each of them had its blocks, in order.
        cpu: Seconds of processor time that each had used by then.
        server_cpu: Seconds of the API server, those of the daemon that was first included.
        requests: By verb.
        listed: Octets of lists that the server sent, those of the first daemon included.
    """

    nodes: int
    daemons: int
    seconds: list[float]
    cpu: list[float]
    server_cpu: float
    requests: Counter[str]
    listed: int


def of_readers(
    start: Mapping[str, Phase], steady: Mapping[str, Phase], again: Mapping[str, Phase]
) -> Iterator[str]:
    """Yield a table of the start, one of the reports, and one of the second list."""
    yield from _table(
        "at the start|s to its blocks|lists|watches|other requests|connections|MB"
        "|CPU s|RSS MB, most|longest stall|by CPU",
        (
            (
                way,
                f"{each.seen['has_blocks_at'] - each.started_at:.1f}",
                *_requests(each.requests),
                f"{each.relayed['connections']}",
                f"{_octets(each) / _MIB:.1f}",
                f"{each.usage.cpu:.1f}",
                f"{each.usage.peak / _MIB:.0f}",
                *_stalls(each),
            )
            for way, each in start.items()
        ),
    )
    yield ""
    yield from _table(
        "while nodes report|events/s|KB/s|requests|CPU|CPU ms/event|RSS MB"
        "|grown by|longest stall|by CPU",
        (_steady_row(way, start[way], each) for way, each in steady.items()),
    )
    yield ""
    yield from _table(
        "listed again|lists|MB|CPU s|RSS MB, most|longest stall|by CPU",
        (_again_row(way, steady[way], each) for way, each in again.items()),
    )


def _steady_row(way: str, before: Phase, each: Phase) -> tuple[str, ...]:
    cpu = each.usage.cpu - before.usage.cpu
    events = each.seen["events"]
    return (
        way,
        f"{events / each.seconds:.2f}",
        f"{(_octets(each) - _octets(before)) / each.seconds / 1e3:.1f}",
        f"{each.requests.total()}",
        f"{100 * cpu / each.seconds:.2f} %",
        f"{1e3 * cpu / events:.2f}" if events else "",
        f"{each.usage.rss / _MIB:.0f}",
        f"{(each.usage.rss - before.usage.rss) / _MIB:.1f}",
        *_stalls(each),
    )


def _again_row(way: str, before: Phase, each: Phase) -> tuple[str, ...]:
    return (
        way,
        f"{each.seen['lists']}",
        f"{(_octets(each) - _octets(before)) / _MIB:.1f}",
        f"{each.usage.cpu - before.usage.cpu:.1f}",
        f"{each.usage.peak / _MIB:.0f}",
        *_stalls(each),
    )


def of_herds(figures: Iterable[HerdFigures]) -> Iterator[str]:
    """Yield a table of daemons that start at once."""
    yield from _table(
        "daemons|nodes|have their blocks|the last after|the median|CPU s each"
        "|CPU s of the server|lists each|watches each|other requests each|MB listed each",
        (
            (
                str(each.daemons),
                str(each.nodes),
                str(len(each.seconds)),
                f"{each.seconds[-1]:.1f} s",
                f"{median(each.seconds):.1f} s",
                f"{median(each.cpu):.2f}",
                f"{each.server_cpu:.0f}",
                *(f"{int(n) / each.daemons:.2f}" for n in _requests(each.requests)),
                f"{each.listed / (each.daemons + 1) / _MIB:.2f}",
            )
            for each in figures
        ),
    )


def _requests(counts: Counter[str]) -> tuple[str, str, str]:
    lists, watches = counts["list"], counts["watch"]
    return str(lists), str(watches), str(counts.total() - lists - watches)


def _octets(each: Phase) -> int:
    return each.relayed["received"] + each.relayed["sent"]


def _stalls(each: Phase) -> tuple[str, str]:
    seen = each.seen
    return f"{1e3 * seen['stall']:.0f} ms", f"{1e3 * seen['stall_cpu']:.0f} ms"


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    names = head.split("|")
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
