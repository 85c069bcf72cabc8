"""Mutated objects of a cluster against a running node: none may end it, none may stall it.

``python -m tests.bench.mutated --count 100000 --seed 1 --way etcd``: a daemon as a process, by
etcd or by a folder of manifests, with sessions of hold time 3 s. ``--way memory`` applies,
plans and carries out each in this process, which shows where a fault is. Either way the
same seed makes the same objects.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bgpd.datastore.etcd import EtcdWriter
from tests.bench.bursts import OWN as ADDRESS
from tests.bench.bursts import PEERS, WRITERS, Items, Tested, run_daemons, write
from tests.etcd.servers import cluster
from tests.support.mutated import OWN, Mutator, real_objects
from tests.support.mutated_run import run

MOST_OCTETS: Final = 1_000_000  # of a value; etcd takes no more
BATCH: Final = 2000  # keys between two looks at the daemon


def first_items() -> Items:
    objects = real_objects()
    for key, content in objects.items():
        if key.endswith(f"/nodes/{OWN}"):
            content["spec"]["bgp"]["ipv4Address"] = f"{ADDRESS}/8"
    return {key: json.dumps(content).encode() for key, content in objects.items()}


async def by_etcd(seed: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as name, cluster(Path(name) / "etcd") as store:
        await store.start()
        writer = EtcdWriter(store.settings)
        await write(writer, first_items())
        etcd = {"type": "etcd", "endpoints": [store.servers[0].endpoint]}
        with run_daemons(Path(name), etcd, Path(__file__).parents[2]) as ours:
            mutator, done = Mutator(seed), 0
            while done < count:
                done += BATCH
                revision = await put(writer, mutator, min(BATCH, count))
                status = ours.status()
                while status["datastore"]["applied_revision"] < revision:
                    await asyncio.sleep(0.1)
                    status = ours.status()
                report(done, ours)
            finish(ours)


async def put(writer: EtcdWriter, mutator: Mutator, count: int) -> int:
    """Write and delete in the order drawn, by several clients; return the last revision.

    The own node stays where the daemon can listen: it is put back each time.
    """
    drawn = [mutator.draw() for _ in range(count)]

    async def some(part: int) -> None:
        mine = drawn[part::WRITERS]
        for start in range(0, len(mine), 25):
            few = dict(mine[start : start + 25])
            puts = {k: v for k, v in few.items() if v is not None}
            await writer.put({k: v for k, v in puts.items() if len(v) < MOST_OCTETS})
            await writer.remove([k for k, v in few.items() if v is None])

    await asyncio.gather(*map(some, range(WRITERS)))
    return await write(writer, first_items())


def by_folder(seed: int, count: int) -> None:
    """Put each object into a file of its own, as JSON, broken ones too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "manifests"
        folder.mkdir()
        put_files(folder, dict(first_items()))
        store = {"type": "folder", "path": str(folder)}
        with run_daemons(Path(name), store, Path(__file__).parents[2]) as ours:
            mutator, done = Mutator(seed), 0
            while done < count:
                done += BATCH
                drawn = [mutator.draw() for _ in range(BATCH)]
                put_files(folder, {k: v for k, v in drawn if v is not None})
                time.sleep(0.3)
                put_files(folder, dict(first_items()))
                report(done, ours)
            finish(ours)


_KINDS: Final = {
    "nodes": "Node",
    "bgppeers": "BGPPeer",
    "bgpfilters": "BGPFilter",
    "bgpconfigurations": "BGPConfiguration",
    "ippools": "IPPool",
    "ipreservations": "IPReservation",
    "clusterinformations": "ClusterInformation",
}


def put_files(folder: Path, items: Items) -> None:
    for key, value in items.items():
        plural, _, name = key.removeprefix(
            "/calico/resources/v3/projectcalico.org/"
        ).partition("/")
        if plural not in _KINDS:
            continue
        safe = "".join(each if each.isalnum() else "_" for each in name)[:60]
        head = json.dumps(
            {"apiVersion": "projectcalico.org/v3", "kind": _KINDS[plural]}
        ).encode()
        text = value.replace(b"{", head[:-1] + b", ", 1) if b"{" in value else value
        file = folder / f"{plural}-{safe}.json"
        new = file.with_suffix(".new")
        new.write_bytes(text)
        new.rename(file)


def report(done: int, ours: Tested) -> None:
    up, flaps = ours.sessions()
    status = ours.status()
    sys.stdout.write(
        f"{done} objects, {up} of {len(PEERS)} sessions up, {flaps} lost, "
        f"lag {1e3 * (status['loop_lag'] or 0):.0f} ms, {ours.cpu():.1f} s of processor, "
        f"{len(status['warnings'])} warnings, {(status['memory'] or 0) >> 20} MB\n"
    )
    sys.stdout.flush()


def finish(ours: Tested) -> None:
    for warning in ours.status()["warnings"]:
        if "keeps its previous state" in warning or "cannot plan with" in warning:
            sys.stdout.write(f"contained: {warning}\n")
    sys.stdout.write(f"longest turns: {ours.end()}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=("memory", "etcd", "folder"), default="memory")
    parser.add_argument("--per-event", type=int, default=1, help="of --way memory")
    arguments = parser.parse_args()
    seed, count = arguments.seed, arguments.count
    if arguments.way == "etcd":
        asyncio.run(by_etcd(seed, count))
    elif arguments.way == "folder":
        by_folder(seed, count)
    else:
        started = time.monotonic()
        outcome = asyncio.run(run(seed, count, arguments.per_event))
        seconds = time.monotonic() - started
        sys.stdout.write(f"{outcome.events} objects in {seconds:.0f} s\n")
        for text in sorted(outcome.held_back | outcome.faults):
            sys.stdout.write(f"contained: {text[:300]}\n")


if __name__ == "__main__":
    main()
