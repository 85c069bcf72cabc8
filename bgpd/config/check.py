"""The output of ``pybgpd check FILE``: all errors, or a summary."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bgpd.config.advice import advice
from bgpd.config.errors import ConfigError
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a check.

    Attributes:
        is_valid: Whether the daemon would take it.
        lines: What to show, one problem or fact a line.
        settings: What the file comes to; ``None`` where it is not valid.
    """

    is_valid: bool
    lines: tuple[str, ...]
    settings: DaemonSettings | None = None


def check(file: Path | None, *, environment: Mapping[str, str] | None = None) -> Report:
    """Load ``file`` as the daemon would, and report."""
    try:
        settings = load(file, environment=environment).settings
    except ConfigError as error:
        count = len(error.problems)
        summary = f"{count} problem{'s' if count > 1 else ''}"
        return Report(is_valid=False, lines=(*map(str, error.problems), summary))
    return Report(True, tuple(_summary(settings)), settings)


def _summary(settings: DaemonSettings) -> list[str]:
    speaker = settings.speaker
    asn = speaker.asn or "from the datastore"
    router_id = speaker.router_id or "from the datastore"
    where = ", ".join(speaker.listen_addresses) or "nowhere"
    fib = settings.fib
    table = f"table {fib.table}, protocol {fib.protocol}" if fib.is_enabled else "off"
    counted = {
        "peers": settings.peers,
        "ranges": settings.ranges,
        "policies": settings.policies,
        "originated prefixes": settings.routes.originated,
    }
    return [
        f"node {settings.node_name}, AS {asn}, router id {router_id}",
        f"listen on {where}, port {speaker.listen_port}",
        ", ".join(f"{what} {len(each)}" for what, each in counted.items()),
        f"datastore {settings.datastore.kind.value}, kernel {table}",
        *(f"warning: {line}" for line in advice(settings)),
        "valid",
    ]
