"""What becomes of the kernel's routes when ``fib`` changes, in words. Pure."""

from collections.abc import Iterator

from bgpd.config.settings import FibSettings


def kernel_moves(before: FibSettings, after: FibSettings) -> Iterator[str]:
    """Yield a line for each thing that the next start does to routes of before."""
    if not before.is_enabled:
        return
    place = f"table {before.table}, protocol {before.protocol}"
    if not after.is_enabled:
        yield f"kernel routes in {place} are removed at the next start"
        return
    if after.table != before.table:
        yield (
            f"kernel routes in {place} stay over the next start, and go once table "
            f"{after.table} has what takes their place"
        )
        return
    if after.protocol != before.protocol:
        yield (
            f"kernel routes in {place} get protocol {after.protocol} at the next start"
        )
    if after.metric != before.metric:
        yield (
            f"kernel routes in {place} get {_metric(after)} after the next start, and "
            f"lose those with {_metric(before)}"
        )


def _metric(settings: FibSettings) -> str:
    return f"metric {settings.metric}" if settings.metric else "the kernel's metric"
