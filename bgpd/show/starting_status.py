"""``show status`` of a daemon that is starting: what is known before there are tables and peers."""

import asyncio
import platform
import time
from dataclasses import asdict
from typing import Final, Protocol

from bgpd import __version__
from bgpd.api.protocol import Arguments, Handler, Row
from bgpd.runtime.build import build
from bgpd.runtime.loop_lag import LagMeter
from bgpd.show.daemon_state import DaemonState
from bgpd.show.state import Configuration
from bgpd.show.status import datastore_row, resident_octets
from bgpd.texts.moments import utc

_STARTING: Final = "the daemon is starting"


class StartingDaemon(DaemonState, Protocol):
    """The daemon as far as it is there."""

    @property
    def node(self) -> str:
        """This node's name in the datastore; empty without."""

    @property
    def awaited(self) -> str:
        """What the start waits for; empty once it is over."""

    @property
    def commit(self) -> Configuration:
        """The configuration in force."""

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""


def starting_handler(daemon: StartingDaemon, lag: LagMeter) -> Handler:
    """Return what answers ``show-status`` while the daemon starts.

    Args:
        daemon: Which.
        lag: Measures its event loop since the start began.
    """

    def status(_: Arguments) -> Row:
        return starting_status(daemon, lag)

    return status


def starting_status(daemon: StartingDaemon, lag: LagMeter) -> Row:
    """Return the keys of ``status`` (``bgpd.show.status``); what is not known yet is null or empty."""
    loop, cluster = asyncio.get_running_loop(), daemon.cluster
    now = loop.time()

    def wall_time(at: float) -> str:
        return utc(time.time() - (now - at))

    return {
        "is_started": False,
        "awaited": daemon.awaited or _STARTING,
        "version": __version__,
        "build": build(),
        "python": platform.python_version(),
        "event_loop": type(loop).__module__.partition(".")[0],
        "node": daemon.node or None,
        "router_id": None,
        "cluster_id": None,
        "as": None,
        "started_at": wall_time(now - lag.age),
        "uptime": int(lag.age),
        "listening": [],
        "rejected_connections": 0,
        "peers": {"total": 0, "established": 0, "states": {}},
        "ranges": [],
        "families": [],
        "selection_deferral": None,
        "drain": None,
        "background_jobs": 0,
        "fib": None,
        "datastore": None if cluster is None else datastore_row(cluster, wall_time),
        "removal_holds": [] if cluster is None else cluster.holds.rows(wall_time),
        "kubernetes": None if cluster is None else asdict(cluster.kubernetes),
        "loop_lag": round(lag.worst(), 4),
        "memory": resident_octets(),
        "configuration": daemon.commit.row(),
        "warnings": daemon.warnings(),
    }
