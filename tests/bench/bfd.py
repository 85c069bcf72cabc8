"""How late BFD's packets are while a table of a million prefixes is loaded: ``python -m tests.bench.bfd``.

A ticker wakes every 50 ms in a thread of the loading process, in its event loop between slices of 8 ms,
or in a process of its own, and notes how late it was.
"""

import json
import os
import subprocess
import sys
import threading
import time
from typing import Final

from bgpd.pipeline.update_receiver import UpdateReceiver
from rib.family import IPV4_UNICAST
from tests.bench.core import CONTEXT, an_adj_rib_in, an_update, blocks

PREFIXES: Final = 1_000_000
TICK: Final = 0.05  # seconds
AT_ONCE: Final = 32  # UPDATEs of one read
_ALONE: Final = (
    "from tests.bench.bfd import ticks; import json, sys;"
    "print(json.dumps(ticks(lambda: bool(__import__('select').select([0], [], [], 0)[0]))))"
)


def ticks(is_over: object) -> list[float]:
    """Return how late each tick was, in milliseconds, until a function says that it is over."""
    late = []
    while not is_over():  # type: ignore[operator]
        due = time.monotonic() + TICK
        time.sleep(TICK)
        late.append((time.monotonic() - due) * 1000)
    return late


def load() -> None:
    """Announce a million prefixes as one peer's UPDATEs bring them."""
    intake = UpdateReceiver({IPV4_UNICAST: an_adj_rib_in()}, CONTEXT)
    nlris = blocks(PREFIXES)
    bodies = [an_update(nlris[at : at + 200])[19:] for at in range(0, PREFIXES, 200)]
    for at in range(0, len(bodies), AT_ONCE):
        intake.take(bodies[at : at + AT_ONCE])


def in_thread() -> list[float]:
    """Tick in a thread."""
    late: list[float] = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: late.extend(ticks(over.is_set)))
    thread.start()
    load()
    over.set()
    thread.join()
    return late


def in_process(*, nice: int = 0) -> list[float]:
    """Tick in another process."""
    argv = ["nice", "-n", str(nice), sys.executable, "-c", _ALONE]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
    ) as process:
        time.sleep(1.5)  # it imports what it needs
        load()
        answer, _ = process.communicate(b"x")
    found: list[float] = json.loads(answer)
    return found


def main() -> None:
    """Print the figures of each."""
    for name, late in (
        ("thread", in_thread()),
        ("process", in_process()),
        ("process, nice -10", in_process(nice=-10)),
    ):
        late.sort()
        print(  # noqa: T201  # a report
            f"{name}: {len(late)} ticks, late by {late[len(late) // 2]:.1f} ms in the middle, "
            f"{late[-1 - len(late) // 20]:.1f} ms at 95 %, {late[-1]:.1f} ms at most"
        )


if __name__ == "__main__":
    main()
