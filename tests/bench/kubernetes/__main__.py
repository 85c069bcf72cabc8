"""What daemons cost a Kubernetes API server, and what it costs them.

``python -m tests.bench.kubernetes``; needs the API server that `.ci/kube-apiserver` builds, and etcd.

* ``readers``: a large cluster whose nodes report their status all the time, read as the daemon
  does, and with whole nodes and all affinities, as confd does. Then the server restarts, and
  everything is listed again.
* ``herd``: many daemons start in the same moment in a cluster of as many nodes.
* ``large-herd``, only where it is named: the same in the large cluster.

The server's audit log counts requests, a relay on loopback the octets of each daemon, TLS
included. Every way of reading has two daemons: the figures of one are processor time and memory;
the other one looks at its loop each millisecond, which costs some of both, and counts events.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from bgpd.calico.kubernetes_objects import GROUP_V1
from tests.bench.kubernetes import tables
from tests.bench.kubernetes.objects import REFLECTORS
from tests.bench.kubernetes.processes import (
    Audit,
    ReaderProcess,
    Relay,
    Usage,
    token_of,
    total,
    user_of,
    write_configuration,
)
from tests.bench.kubernetes.reader import WAYS
from tests.bench.kubernetes.tables import HerdFigures, Phase
from tests.bench.kubernetes.writer import LOCAL, Cluster, Writer
from tests.bench.machine import machine
from tests.support.daemons import ROOT
from tests.support.kube_apiserver import READS, KubeApi, missing
from tests.support.speakers import own_network

PARTS: Final = ("readers", "herd", "large-herd")
USUAL: Final = ("readers", "herd")
PORT: Final = 17927
SETTLED: Final = 6.0  # seconds without an octet, after which all lists are read
SETTLE_LIMIT: Final = 300.0  # seconds
_LISTS: Final = "apiserver_response_sizes_sum{"


def say(line: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Bench:
    """An API server with a cluster in it.

    Args:
        folder: For all files.
        cluster: What it holds.
    """

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.audit = Audit(folder / "audit")
        self.api = KubeApi(folder / "k")
        self.api.more_arguments = self.audit.arguments
        self.api.add_users({token_of(n): user_of(n) for n in range(LOCAL)})

    async def fill(self) -> None:
        """Create the kinds and all objects."""
        self.api.make_kinds(GROUP_V1)
        self.api.grant(*READS)
        writer = Writer(self.api)
        await writer.fill(self.cluster, say)
        await writer.close()

    async def report(self, rate: float, seconds: float) -> int:
        """Let nodes report; return how often."""
        writer = Writer(self.api)
        try:
            return await writer.report(self.cluster, rate, seconds)
        finally:
            await writer.close()

    def usage(self) -> Usage:
        """Return what the API server has used."""
        return Usage.of(self.api.pid("api"))

    def listed_octets(self) -> int:
        """Return how many octets of lists the server has sent in all."""
        text = self.api.http.get("/metrics").text
        lines = (line for line in text.splitlines() if line.startswith(_LISTS))
        return sum(int(float(x.split()[-1])) for x in lines if 'verb="LIST"' in x)


@contextmanager
def a_bench(nodes: int, blocks: int) -> Iterator[Bench]:
    """Yield a filled server; all of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pybgpd-kube-") as name:
        bench = Bench(Path(name), Cluster(nodes, blocks, own_network(), PORT))
        with bench.api:
            asyncio.run(bench.fill())
            yield bench


# -- readers ----------------------------------------------------------------------------


class Readers:
    """Two daemons for each way of reading, and the relay that they read through.

    Args:
        bench: The server.
        ways: Names.
    """

    def __init__(self, bench: Bench, ways: list[str]) -> None:
        self._bench = bench
        self._stack = ExitStack()
        self._ways = ways
        self._relay = self._stack.enter_context(Relay(bench.api.port, 2 * len(ways)))
        self._readers: list[ReaderProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start all daemons, one after the other."""
        for index, port in enumerate(self._relay.ports):
            way, number = self._ways[index // 2], REFLECTORS + index
            folder = self._bench.folder / f"d{index}"
            write_configuration(
                folder,
                self._bench.api,
                self._bench.cluster,
                number,
                port=port,
                way=way,
            )
            reader = ReaderProcess(folder, number, way, samples=bool(index % 2))
            self._readers.append(self._stack.enter_context(reader))
            reader.wait_until_connected()
            say(f"the daemon of node {number} ({way}) has read everything")

    async def settle(self) -> None:
        """Wait until no more octets come: all has been listed.

        Raises:
            RuntimeError: That takes too long.
        """
        started = changed = time.monotonic()
        counts = self._relay.ask("counts")
        while time.monotonic() < changed + SETTLED:
            await asyncio.sleep(0.5)
            before, counts = counts, self._relay.ask("counts")
            if counts != before:
                changed = time.monotonic()
            if changed > started + SETTLE_LIMIT:
                raise RuntimeError("the daemons do not come to rest")

    def measured(self, seconds: float = 0.0) -> dict[str, Phase]:
        """Return what happened by way since the last time.

        Args:
            seconds: How long nodes have reported.
        """
        counts = self._relay.ask("counts")
        audit = self._bench.audit.new()
        found: dict[str, Phase] = {}
        for index, way in enumerate(self._ways):
            plain, sampled = self._readers[2 * index : 2 * index + 2]
            found[way] = Phase(
                seconds=seconds,
                usage=plain.usage(),
                requests=audit.get(user_of(plain.number), total(())),
                relayed=counts[2 * index],
                seen=sampled.seen(),
                started_at=sampled.started_at,
            )
        return found

    async def restart_server(self, rate: float) -> None:
        """Restart the server while no daemon reads, so that no version is known any more."""
        api = self._bench.api
        self._relay.ask("cut")
        await self._bench.report(rate, 1.0)
        api.stop("api")
        api.start()
        await self._bench.report(rate, 1.0)
        self._relay.ask("mend")
        await self.settle()
        for reader in self._readers:
            reader.wait_until_connected()


async def read(bench: Bench, asked: argparse.Namespace) -> list[str]:
    """Measure all ways of reading; return the table."""
    with Readers(bench, asked.ways) as readers:
        readers.start()
        await readers.settle()
        start = readers.measured()
        before = bench.usage()
        say(f"nodes report {asked.rate:g} times a second for {asked.seconds:g} s")
        reports = await bench.report(asked.rate, asked.seconds)
        await asyncio.sleep(1.0)  # until the last report has arrived
        steady = readers.measured(asked.seconds)
        spent = bench.usage().cpu - before.cpu
        say(f"{reports} reports; the server used {spent:.0f} s of processor time")
        say("the server restarts, and everything is listed again")
        await readers.restart_server(asked.rate)
        again = readers.measured()
    return list(tables.of_readers(start, steady, again))


# -- herd -------------------------------------------------------------------------------


def herd(bench: Bench, count: int, limit: float) -> HerdFigures:
    """Start daemons at once; return what that took."""
    files = [
        write_configuration(
            bench.folder / f"h{number}",
            bench.api,
            bench.cluster,
            REFLECTORS + number,
            port=bench.api.port,
        )
        for number in range(count + 1)  # the first one shows which modules to load
    ]
    before, octets = bench.usage(), bench.listed_octets()
    bench.audit.new()
    command = [sys.executable, "-m", "tests.bench.kubernetes.herd", str(limit)]
    answer = subprocess.run(
        [*command, *map(str, files)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=4 * limit + 60,
    )
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    after = bench.usage()
    requests = bench.audit.new()
    requests.pop(user_of(REFLECTORS), None)
    return HerdFigures(
        nodes=bench.cluster.nodes,
        daemons=count,
        seconds=sorted(row["seconds"] for row in rows),
        cpu=[row["cpu"] for row in rows],
        server_cpu=after.cpu - before.cpu,
        requests=total(requests.values()),
        listed=bench.listed_octets() - octets,
    )


def main() -> None:
    """Run the benchmarks that the options select."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.kubernetes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--only",
        choices=PARTS,
        action="append",
        help=f"in place of {' and '.join(USUAL)}",
    )
    add("--nodes", type=int, default=5000, help="of the large cluster")
    add("--blocks", type=int, default=4, help="block affinities of each node")
    add("--rate", type=float, default=20.0, help="status reports a second")
    add("--seconds", type=float, default=300.0, help="for so long")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="of reading")
    add("--daemons", type=int, default=100, help="of the herd")
    add("--limit", type=float, default=120.0, help="seconds for the herd's blocks")
    add("--output", type=Path, help="file for the tables, beside the output")
    asked = parser.parse_args()
    if reason := missing():
        say(f"left out: {reason}")
        return
    parts = asked.only or USUAL
    lines = [machine(), ""]
    for line in _run(parts, asked):
        say(line)
        lines.append(line)
    if asked.output:
        asked.output.write_text("\n".join(lines) + "\n")


def _run(
    parts: "tuple[str, ...] | list[str]", asked: argparse.Namespace
) -> Iterator[str]:
    say(machine())
    figures = []
    if "herd" in parts:
        with a_bench(asked.daemons + REFLECTORS + 1, asked.blocks) as bench:
            figures.append(herd(bench, asked.daemons, asked.limit))
    if "readers" in parts or "large-herd" in parts:
        with a_bench(asked.nodes, asked.blocks) as bench:
            if "readers" in parts:
                yield from asyncio.run(read(bench, asked))
                yield ""
            if "large-herd" in parts:
                figures.append(herd(bench, asked.daemons, asked.limit))
    if figures:
        yield from tables.of_herds(figures)


if __name__ == "__main__":
    main()
