"""Logs malformed UPDATEs and ignored prefixes: a line for each reason, however many."""

import logging
from collections import Counter
from collections.abc import Collection
from typing import Final

from bgpd.runtime.log_setup import alike
from bgpd.session.settings import PeerSettings, peer_fields
from rib.adj_rib_in import AdjRibIn
from rib.errors import Problem
from rib.nlri import format_prefix

LOGGED_OCTETS: Final = 128  # of a malformed UPDATE's body

_log = logging.getLogger(__name__)


def log_update_errors(
    peer: PeerSettings, complaints: Collection[tuple[Problem, bytes]]
) -> None:
    """Log the errors in UPDATEs of one read.

    Args:
        peer: Whose they are.
        complaints: What was found, each with the UPDATE's body.
    """
    counts = Counter(problem.text for problem, _ in complaints)
    for problem, body in complaints:
        count = counts.pop(problem.text, 0)
        if count:  # else its line was written with the first of its kind
            _log.warning(
                "%(peer)s (%(address)s): malformed UPDATE: %(reason)s (%(remedy)s); body "
                "%(body)s; %(count)d such UPDATEs in a row"
                if count > 1
                else "%(peer)s (%(address)s): malformed UPDATE: %(reason)s (%(remedy)s); "
                "body %(body)s",
                {
                    "event": "malformed-update",
                    **peer_fields(peer),
                    "reason": problem.text,
                    "remedy": problem.remedy.name.lower().replace("_", "-"),
                    "body": _shown(body),
                    "count": count,
                },
                extra=alike("peer", "reason", count=count),
            )


def _shown(body: bytes) -> str:
    end = "..." if len(body) > LOGGED_OCTETS else ""
    return f"{body[:LOGGED_OCTETS].hex()}{end}"


def log_ignored(peer: PeerSettings, rib: AdjRibIn) -> None:
    """Log ignored prefixes: the first of a kind, then ten times as many.

    Args:
        peer: Whose they are.
        rib: What it announced.
    """
    for why, ignored in rib.ignored.news():
        _log.warning(
            "%(peer)s (%(address)s): ignored %(count)d prefix (RFC 4271 6.3), not unicast: "
            "%(reason)s; first %(prefix)s"
            if ignored.count == 1
            else "%(peer)s (%(address)s): ignored %(count)d prefixes (RFC 4271 6.3), not "
            "unicast: %(reason)s; first %(prefix)s",
            {
                "event": "prefixes-ignored",
                **peer_fields(peer),
                "count": ignored.count,
                "reason": why.value,
                "prefix": format_prefix(ignored.first, rib.loc_rib.family.afi),
                "family": rib.loc_rib.family,
            },
        )
