"""``show fib``: the routes wanted in the kernel's table, and their state."""

from collections.abc import Iterator

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.state import (
    DaemonView,
    describe_hop,
    find_families,
    find_limit,
    find_prefix,
)
from fib.routes import Fib, FibRoute, RouteState, Target
from rib.family import Family
from rib.nlri import Nlri, format_prefix


def fib(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return a row for each of our kernel routes.

    Raises:
        ControlError: ``no-fib`` or ``bad-argument``.
    """
    if view.kernel.fib is None:
        raise ControlError("no-fib", "this daemon does not touch the kernel's table")
    families = find_families(arguments)
    prefix = arguments.get("prefix")
    wanted: Nlri | None = None
    if prefix is not None:
        family, wanted = find_prefix(prefix)
        if family not in families:
            raise ControlError("bad-argument", f"{prefix} is not of that family")
        families = [family]
    state = arguments.get("state")
    states = [known.value for known in RouteState]
    if state is not None and state not in states:
        raise ControlError("bad-argument", f"there is no state {state!r}", states)
    return _rows(view.kernel.fib, families, wanted, state, find_limit(arguments))


def _rows(
    fib: Fib,
    families: list[Family],
    wanted: Nlri | None,
    state: str | None,
    limit: int | None,
) -> Iterator[Row | None]:
    count = 0
    for family in families:
        for found in fib.routes(family):
            if wanted not in (None, found.nlri) or state not in (
                None,
                found.state.value,
            ):
                yield None
                continue
            yield _row(found, family)
            count += 1
            if count == limit:
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
