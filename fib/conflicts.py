"""Prefixes that another program's routes keep out of the kernel: logged when a conflict begins."""

import errno
import logging
from collections.abc import Mapping, Sequence

from fib.plan import CREATE, Operation, RouteTable
from fib.routes import Fault
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import format_prefix

_log = logging.getLogger(__name__)


class Conflicts:
    """Those of one family, so that each is logged once and not with each further attempt.

    Args:
        afi: Of the family.
        routes: The family's.
    """

    def __init__(self, afi: int, routes: RouteTable) -> None:
        self._family = IPV4_UNICAST if afi == IPV4_UNICAST.afi else IPV6_UNICAST
        self._routes = routes
        self._known: dict[bytes, None] = {}

    def note(
        self, operations: Sequence[Operation], faults: Mapping[int, Fault]
    ) -> None:
        """Log new conflicts among refused operations, in one line.

        Args:
            operations: As sent; ``RouteTable.settle`` has seen what became of them.
            faults: By index into ``operations``.
        """
        failed, known = self._routes.failed, self._known
        new = [
            nlri
            for verb, nlri, _ in map(operations.__getitem__, faults)
            if verb is CREATE and nlri not in known and _is_held(failed.get(nlri))
        ]
        if not new:
            return
        wanted = self._routes.wanted
        self._known = dict.fromkeys([*filter(wanted.__contains__, known), *new])
        _log.warning(
            "another program holds %(count)d of our kernel routes, the first of them "
            "%(prefix)s; it keeps them",
            {
                "event": "kernel-conflict",
                "count": len(new),
                "prefix": format_prefix(new[0], self._family.afi),
                "family": self._family,
            },
        )

    def end(self, nlri: bytes) -> None:
        """Note that the other program's route is gone."""
        self._known.pop(nlri, None)


def _is_held(fault: Fault | None) -> bool:
    return fault is not None and fault.errno == errno.EEXIST
