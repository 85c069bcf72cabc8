"""Counters of programmed routes, for any implementation."""

import errno
from collections.abc import Iterable
from itertools import chain

from fib.plan import RouteTable
from fib.routes import FibCounts


def counts_of(tables: Iterable[RouteTable]) -> FibCounts:
    """Return what the tables of all families count; the rest is 0."""
    tables = tuple(tables)
    wanted = sum(len(table.wanted) for table in tables)
    failed = sum(len(table.failed) for table in tables)
    faults = chain.from_iterable(table.failed.values() for table in tables)
    conflicts = sum(fault.errno == errno.EEXIST for fault in faults)
    return FibCounts(
        wanted=wanted,
        installed=wanted - failed,
        pending=sum(table.waiting_count for table in tables),
        failed=failed - conflicts,
        conflicts=conflicts,
        stale=sum(len(table.stale) for table in tables),
        adopted=sum(table.adopted_count for table in tables),
    )
