"""Many daemons that start in the same moment, out of one process that has loaded all modules.

``python -m tests.bench.kubernetes.herd SECONDS CONFIGURATION...``

A machine of two processors needs most of a minute to load Python's modules a hundred times,
which a hundred nodes do at once. So they are loaded first: one daemon runs until it has its
blocks and tells which modules that took, and then all are forked and wait for the start. From
there on each does all that a daemon does: it makes its connections, reads, plans, and
originates its blocks. The answer is a line of JSON for each.
"""

import gc
import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from bgpd.cli.daemon import main
from tests.bench.kubernetes.reader import note_blocks

_LINE: Final = 1 << 20  # octets of what a daemon tells, at most


def _daemon(
    configuration: str, start: int, tell: int, *, names_modules: bool
) -> NoReturn:
    """Be a daemon, once ``start`` is closed; say when it has its blocks."""
    with Path(configuration).with_name("log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.read(start, 1)
    cpu = time.process_time()
    told: list[bool] = []

    def has_blocks() -> None:
        if told:
            return
        told.append(True)
        content: dict[str, Any] = {
            "at": time.monotonic(),
            "cpu": time.process_time() - cpu,
        }
        if names_modules:
            content["modules"] = sorted(sys.modules)
        os.write(tell, json.dumps(content).encode() + b"\n")

    note_blocks(has_blocks)
    with suppress(SystemExit):
        main(["run", "--config", configuration], standalone_mode=False)
    os._exit(0)


def _run(
    configurations: list[str], seconds: float, *, names_modules: bool
) -> list[Any]:
    """Start daemons at once, wait until all have their blocks, and end them."""
    start, go = os.pipe()
    read, tell = os.pipe()
    pids: list[int] = []
    for each in configurations:
        pid = os.fork()
        if not pid:
            os.close(go)
            os.close(read)
            _daemon(each, start, tell, names_modules=names_modules)
        pids.append(pid)
    os.close(start)
    os.close(tell)
    time.sleep(1.0)  # until all of them wait
    began = time.monotonic()
    os.close(go)
    found = _lines(read, len(pids), began + seconds)
    os.close(read)
    for each in found:
        each["seconds"] = each.pop("at") - began
    time.sleep(1.0)  # watches are opened just after the blocks are known
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)
    return found


def _lines(read: int, count: int, until: float) -> list[Any]:
    os.set_blocking(read, False)
    octets = b""
    while octets.count(b"\n") < count and time.monotonic() < until:
        with suppress(BlockingIOError):
            octets += os.read(read, _LINE)
        time.sleep(0.01)
    return [json.loads(line) for line in octets.split(b"\n") if line]


def _load(names: list[str]) -> None:
    for name in names:
        with suppress(Exception):  # some belong to the process that had them
            importlib.import_module(name)


def run(configurations: list[str], seconds: float) -> list[Any]:
    """Return what each daemon told that has its blocks in time.

    Args:
        configurations: The first is that of the daemon that shows which modules to load.
        seconds: To wait.
    """
    (first,) = _run(configurations[:1], seconds, names_modules=True)
    _load(first["modules"])
    gc.collect()
    gc.freeze()
    return _run(configurations[1:], seconds, names_modules=False)


if __name__ == "__main__":
    for each in run(sys.argv[2:], float(sys.argv[1])):
        sys.stdout.write(json.dumps(each) + "\n")
