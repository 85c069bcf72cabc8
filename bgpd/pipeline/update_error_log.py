"""Logs malformed UPDATEs and ignored prefixes: a line for each reason, however many."""

import logging
from collections import Counter
from collections.abc import Collection
from typing import Final

from bgpd.runtime.log_setup import alike
from rib.adj_rib_in import AdjRibIn
from rib.errors import Problem
from rib.nlri import format_prefix

LOGGED_OCTETS: Final = 128  # of a malformed UPDATE's body

_log = logging.getLogger(__name__)


def log_update_errors(peer: str, complaints: Collection[tuple[Problem, bytes]]) -> None:
    """Log the errors in UPDATEs of one read.

    Args:
        peer: Whose they are, as the log names it.
        complaints: What was found, each with the UPDATE's body.
    """
    counts = Counter(problem.text for problem, _ in complaints)
    for problem, body in complaints:
        count = counts.pop(problem.text, 0)
        if count:  # else its line was written with the first of its kind
            _log.warning(
                "%s: malformed UPDATE: %s (%s); body %s%s%s",
                peer,
                problem.text,
                problem.remedy.name.lower().replace("_", "-"),
                body[:LOGGED_OCTETS].hex(),
                "..." if len(body) > LOGGED_OCTETS else "",
                f"; {count} such UPDATEs in a row" if count > 1 else "",
                extra=alike(peer, problem.text, count=count),
            )


def log_ignored(peer: str, rib: AdjRibIn) -> None:
    """Log ignored prefixes: the first of a kind, then ten times as many.

    Args:
        peer: Whose they are, as the log names it.
        rib: What it announced.
    """
    for why, ignored in rib.ignored.news():
        _log.warning(
            "%s: ignored %d %s (RFC 4271 6.3), not unicast: %s; first %s",
            peer,
            ignored.count,
            "prefix" if ignored.count == 1 else "prefixes",
            why.value,
            format_prefix(ignored.first, rib.loc_rib.family.afi),
        )
