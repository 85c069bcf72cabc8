"""The lines that begin and end a daemon's log: which program ran, with what, and why it ended."""

import logging
from collections.abc import Iterable
from pathlib import Path

from bgpd.config.settings import DaemonSettings
from bgpd.runtime.build import version_line
from bgpd.runtime.log_fields import Names

_log = logging.getLogger(__name__)


def log_starting(settings: DaemonSettings, files: Iterable[Path]) -> None:
    """Log what starts: version, build, and the files that it was configured by."""
    names = tuple(str(file) for file in files)
    _log.info(
        "starting %(version)s on node %(node)s with %(files)s",
        {
            "event": "starting",
            "version": version_line("pybgpd"),
            "node": settings.node_name,
            "files": Names(names or ("no file",)),
        },
    )


def log_stopping(reason: str) -> None:
    """Log that the end begins, and who asked for it."""
    _log.info("stopping: %(reason)s", {"event": "stopping", "reason": reason})


def log_stopped(seconds: float, outcome: str) -> None:
    """Log the end, and what became of our routes in the kernel."""
    _log.info(
        "stopped within %(seconds).3f s: %(outcome)s",
        {"event": "stopped", "seconds": seconds, "outcome": outcome},
    )


def log_idle(places: Iterable[tuple[str, int]]) -> None:
    """Log where the service manager listens for us and the configuration does not."""
    for address, port in sorted(places):
        _log.warning(
            "the socket unit listens on %(local_address)s port %(port)d, which "
            "bgp.listen does not: nothing answers there",
            {"event": "socket-idle", "local_address": address, "port": port},
        )
