"""What accompanies a running daemon and is not part of BGP.

The service manager learns our state and that the event loop still runs;
tools that look for processes by name find them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from bgpd.daemon import placeholder_processes
from bgpd.daemon.daemon import Daemon
from bgpd.daemon.sd_notify import ServiceManager
from bgpd.runtime.supervisor import Supervisor
from bgpd.session.fsm import State

STATUS_INTERVAL: Final = 10.0  # seconds between status lines, at most
FEEDS: Final = 3  # per interval of the watchdog, so that one late feed does no harm


@contextlib.asynccontextmanager
async def service_manager_tasks(
    daemon: Daemon, manager: ServiceManager
) -> AsyncIterator[None]:
    """Start them, and end them with the block.

    Args:
        daemon: What they go along with; runs inside the block.
        manager: Who started this process.
    """
    supervisor = Supervisor()
    if manager.is_there:
        supervisor.keep(
            "service manager",
            partial(_inform, daemon, manager),
            meanwhile="it receives no status from the daemon",
        )
    if names := daemon.settings.calico.process_names:
        supervisor.keep(
            "process names",
            partial(placeholder_processes.hold, names),
            meanwhile="tools that look for a BIRD process do not find one",
        )
    try:
        yield
    finally:
        await supervisor.close()
        manager.close()


async def _inform(daemon: Daemon, manager: ServiceManager) -> None:
    """Tell the manager of start and stop, and feed its watchdog in between.

    The feed comes from the event loop: a loop that hangs feeds nothing, and the manager
    starts the daemon again.
    """
    pause = min(STATUS_INTERVAL, manager.watchdog / FEEDS or STATUS_INTERVAL)
    is_ready = False
    while not daemon.stopping.is_set():
        if daemon.is_started and not is_ready:
            is_ready = True
            manager.tell(READY=1, STATUS=status(daemon))
        else:
            manager.tell(WATCHDOG=1, STATUS=status(daemon))
        await _first_of(
            daemon.stopping, *(() if is_ready else (daemon.started,)), pause=pause
        )
    manager.tell(STOPPING=1, STATUS="stopping")


async def _first_of(*events: asyncio.Event, pause: float) -> None:
    """Return when one of the events is set, or after ``pause`` seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def status(daemon: Daemon) -> str:
    """Return one line about the daemon, as ``systemctl status`` shows it."""
    if daemon.speaker is None or not daemon.is_started:
        return "starting"
    peers = daemon.speaker.peers.values()
    up = sum(peer.state is State.ESTABLISHED for peer in peers)
    line = f"{up} of {len(peers)} sessions established"
    report = daemon.recovery()
    if report is not None:
        waiting = report.progress.waiting_count
        line += f"; restart not complete: End-of-RIB waits for {waiting} peers"
    return line
