"""The Internet's own churn and tables, beside BIRD: ``python -m tests.bench.field``.

Churn is what route collectors recorded in 2016 and 2019, all their peers through one
session, several times over. The table is made by the distributions of real ones: half of the
attribute sets have one prefix, one in a hundred has more than 70. Each comes twice: as a gateway
sends it, and as another reflector does that has reflected it (RFC 4456 8).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from reflector.rewrite import Reflection, reflect
from rib.attributes import PathAttributes
from tests.bench.feed import an_update
from tests.bench.machine import machine
from tests.bench.mrt import block_of, messages, with_block
from tests.bench.peers import ROOT, VARIABLE, NoPeersError, use_suite, versions
from tests.bench.scenarios import find_compare, missing, own_command
from tests.support.vectors import vectors_folder

CHURN: Final = ("updates.20160811.1600.gz", "rrc.updates.20190101.0000.gz")
SHOWN: Final = ("converge_s", "dut_cpu_s", "dut_peak_rss_kb")
_HOP: Final = "172.17.0.1"
_CLIENT: Final = 0xAC110005  # of the reflector that reflected first, and its cluster
_CLUSTER: Final = 0xAC110009
# Of full tables between 2010 and 2019: shares that do not exceed a value.
_SET_SIZES: Final = ((0.5, 1), (0.75, 4), (0.9, 10), (0.95, 18), (0.99, 71), (1, 600))
_HOPS: Final = (
    (0.07, 2),
    (0.5, 3),
    (0.82, 4),
    (0.93, 5),
    (0.97, 6),
    (0.99, 9),
    (1, 20),
)
_COMMUNITIES: Final = ((0.3, 0), (0.5, 3), (0.75, 5), (0.95, 12), (1, 30))
_LENGTHS: Final = ((0.54, 24), (0.63, 23), (0.74, 22), (0.82, 21), (0.89, 20), (1, 19))


def draw(chance: random.Random, shares: Sequence[tuple[float, int]]) -> int:
    """Draw by a cumulative distribution; even between two of its steps."""
    at = bisect(shares, (chance.random(), -1))
    low = shares[at - 1][1] + 1 if at else shares[0][1]
    return chance.randint(min(low, shares[at][1]), shares[at][1])


def a_full_table(prefixes: int) -> Iterator[bytes]:
    """Yield the UPDATEs of a table; the same one each time."""
    chance = random.Random(1)
    number = 0x010000  # of a /24, counted on: aggregates take their place too
    left = prefixes
    while left:
        hops = draw(chance, _HOPS)
        path = bytes((2, hops)) + b"".join(
            chance.randrange(1, 400_000).to_bytes(4, "big") for _ in range(hops)
        )
        run = []
        for _ in range(min(left, draw(chance, _SET_SIZES))):
            length = next(
                n for share, n in _LENGTHS if chance.random() <= share or n == 19
            )
            run.append(
                bytes((length,)) + (number & -(1 << 24 - length)).to_bytes(3, "big")
            )
            number = (number & -(1 << 24 - length)) + (1 << 24 - length)
        left -= len(run)
        communities = b"".join(
            chance.randbytes(4) for _ in range(draw(chance, _COMMUNITIES))
        )
        large = chance.randbytes(12) if chance.random() < 0.14 else b""
        yield an_update(_HOP, b"".join(run), path, communities, large)


def reflected(updates: Iterable[bytes]) -> Iterator[bytes]:
    """Yield UPDATEs as a reflector passes them on; all from one client."""
    reflection = Reflection(_CLIENT, _CLUSTER.to_bytes(4, "big"))
    for message in updates:
        start, end = block_of(message)
        block = message[start:end]
        if block:
            block = reflect(PathAttributes(block, b""), reflection)
            message = with_block(message, block)  # noqa: PLW2901  # what is passed on
        yield message


def compare(file: Path, runs: int) -> dict[str, dict[str, float]]:
    """Return the medians of BIRD and ours for a replay."""
    command = [sys.executable, str(find_compare()), "full", "--replay", str(file)]
    done = subprocess.run(
        [*command, "--runs", str(runs), "--dut", "bird,ours"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DUT_CMD": own_command()},
    )
    found: dict[str, list[dict[str, float]]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            run = json.loads(line)
            found.setdefault(run["dut"], []).append(run)
    return {
        name: {key: sorted(run[key] for run in made)[len(made) // 2] for key in SHOWN}
        for name, made in found.items()
    }


def say(title: str, file: Path, runs: int) -> None:
    """Print a replay's figures."""
    found = compare(file, runs)
    sys.stdout.write(f"{title}\n")
    for key in SHOWN:
        bird, ours = found["bird"][key], found["ours"][key]
        ratio = f"{ours / bird:.2f}x" if bird else ""
        sys.stdout.write(f"  {key:20}{bird:>12.3f}{ours:>12.3f}  {ratio}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, default=1_000_000, help="of the table")
    parser.add_argument("--times", type=int, default=10, help="each churn is replayed")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--peers",
        metavar="SUITE",
        default=os.environ.get(VARIABLE, ""),
        help="take BIRD of a Debian suite, such as sid, instead of the installed one",
    )
    asked = parser.parse_args()
    try:
        if asked.peers:
            use_suite(asked.peers)
    except NoPeersError as error:
        parser.exit(1, f"no routers of Debian {asked.peers}: {error}\n")
    vectors = vectors_folder()
    reason = missing() or ("" if vectors else "no recorded churn beside the checkout")
    if reason or vectors is None:
        parser.exit(1, f"nothing can be measured: {reason}\n")
    sys.stdout.write(f"{machine()}\nbeside {versions()}\n")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replay"
        for name in CHURN:
            counts: Counter[str] = Counter()
            taken = list(messages(vectors / "mrt" / name, counts))
            left_out = ", ".join(f"{n} {what}" for what, n in counts.items())
            title = f"{name}: {left_out}; {asked.times} times"
            replay(title, taken, file, asked.runs, asked.times)
        table = list(a_full_table(asked.prefixes))
        replay(
            f"a table of {asked.prefixes:,} prefixes as real ones",
            table,
            file,
            asked.runs,
        )


def replay(
    title: str, updates: list[bytes], file: Path, runs: int, times: int = 1
) -> None:
    """Measure UPDATEs as they are, and reflected."""
    file.write_bytes(b"".join(updates) * times)
    say(title, file, runs)
    file.write_bytes(b"".join(reflected(updates)) * times)
    say(f"{title}, reflected before", file, runs)


if __name__ == "__main__":
    main()
