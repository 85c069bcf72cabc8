"""``show fib``: the routes wanted in the kernel's table, and their state."""

from collections.abc import Iterator, Sequence
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.state import (
    DaemonView,
    Wanted,
    describe_hop,
    find_limit,
    find_wanted,
    in_reading_order,
)
from fib.routes import Fib, FibRoute, RouteState, Target
from rib.family import Family
from rib.nlri import Nlri, format_prefix

_YIELD_AFTER: Final = 256  # routes looked at between yield points


def fib(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return a row for each of our kernel routes.

    Raises:
        ControlError: ``no-fib`` or ``bad-argument``.
    """
    if view.kernel.fib is None:
        raise ControlError("no-fib", "this daemon does not touch the kernel's table")
    families, wanted = find_wanted(arguments)
    state = arguments.get("state")
    states = [known.value for known in RouteState]
    if state is not None and state not in states:
        raise ControlError("bad-argument", f"there is no state {state!r}", states)
    return _rows(view.kernel.fib, families, wanted, state, find_limit(arguments))


def _rows(
    fib: Fib,
    families: Sequence[Family],
    wanted: Wanted,
    state: str | None,
    limit: int | None,
) -> Iterator[Row | None]:
    """Yield the wanted routes in reading order, with yield points."""
    count = 0
    for family in families:
        chosen: list[Nlri] = []
        for number, found in enumerate(fib.routes(family)):
            if wanted(found.nlri) and state in (None, found.state.value):
                chosen.append(found.nlri)
            if number % _YIELD_AFTER == 0:
                yield None
        for nlri in in_reading_order(chosen):
            row = None if nlri is None else route_row(fib, family, nlri)
            yield row
            count += row is not None
            if row is not None and count == limit:
                return


def route_row(fib: Fib | None, family: Family, nlri: Nlri) -> Row | None:
    """Return the kernel's part of one prefix; ``None`` without a route of this daemon."""
    found = None if fib is None else fib.route(family, nlri)
    return None if found is None else _row(found, family)


def _row(found: FibRoute, family: Family) -> Row:
    target = found.target
    fault = found.fault
    return {
        "prefix": format_prefix(found.nlri, family.afi),
        "family": str(family),
        "state": found.state.value,
        "kind": target.kind.name.lower(),
        "hops": _hops(target),
        "metric": target.metric,
        "error": None if fault is None else fault.text,
    }


def _hops(target: Target) -> list[Row]:
    return [describe_hop(hop) for hop in target.hops]
