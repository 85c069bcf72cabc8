"""Processes that do nothing but have a name, for tools that look for BIRD by it.

``calicoctl node status`` shows the IPv4 table only if some process has ``bird`` as first
word of its command line, the IPv6 table only if one has ``bird6``. A process has one first
word, and a Python program cannot choose it without losing its environment. So each name
gets a shell, under 1 MB, that waits for the end of a pipe whose other end is ours alone:
when the daemon ends, however it ends, the pipe does, and so does the shell.
"""

import asyncio
import logging
import subprocess
from collections.abc import Sequence
from typing import Final

from bgpd.runtime.supervisor import describe

SHELL: Final = "/bin/sh"
# SIGHUP to BIRD means "reload" to old scripts; it must not end the placeholder.
SCRIPT: Final = 'trap "" HUP; read -r _'
FIRST_PAUSE: Final = 1.0  # seconds until an ended one is started again
LONGEST_PAUSE: Final = 60.0
LOOK: Final = 2.0  # seconds between looks whether it is there
STEADY: Final = 10.0  # seconds; one that lived so long is started again soon

_log = logging.getLogger(__name__)


async def hold(names: Sequence[str]) -> None:
    """Keep a process of each name alive until cancelled; they end with us.

    Args:
        names: First words of their command lines.
    """
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(_hold(name), name=f"process {name}")


async def _hold(name: str) -> None:
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        started = loop.time()
        try:
            text = f"exited with code {await _run(name)}"
        except Exception as error:  # noqa: BLE001  # the other names stay
            text = f"cannot start {SHELL}: {describe(error)}"
        if loop.time() - started >= STEADY:
            pause = FIRST_PAUSE
        _log.warning(
            "placeholder process %(part)s: %(reason)s; restarting it in %(seconds).0f s",
            {
                "event": "placeholder-ended",
                "part": name,
                "reason": text,
                "seconds": pause,
            },
        )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _run(name: str) -> int:
    """Start one, wait for its end and return its exit code.

    Not by the event loop's own means: uvloop puts the program's path in place of the name.
    """
    process = subprocess.Popen(  # noqa: ASYNC220  # vfork and exec: a millisecond
        [name, "-c", SCRIPT],
        executable=SHELL,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            while (code := process.poll()) is None:  # noqa: ASYNC110  # of a process
                await asyncio.sleep(LOOK)
            return code
        finally:
            process.kill()
