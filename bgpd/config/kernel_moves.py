"""What happens to the kernel's routes when ``fib`` changes, in words. Pure."""

from collections.abc import Iterator

from bgpd.config.settings import FibSettings


def kernel_moves(before: FibSettings, after: FibSettings) -> Iterator[str]:
    """Yield a line for each thing that the next start does to existing routes."""
    if not before.is_enabled:
        return
    place = f"table {before.table}, protocol {before.protocol}"
    if not after.is_enabled:
        yield f"the next start removes the kernel routes in {place}"
        return
    if after.table != before.table:
        yield (
            f"after the next start, kernel routes in {place} stay until table "
            f"{after.table} has their replacements"
        )
        return
    if after.protocol != before.protocol:
        yield (
            f"the next start changes kernel routes in {place} to protocol {after.protocol}"
        )
    if after.metric != before.metric:
        yield (
            f"the next start replaces kernel routes in {place} that have {_metric(before)} "
            f"with routes that have {_metric(after)}"
        )


def _metric(settings: FibSettings) -> str:
    return f"metric {settings.metric}" if settings.metric else "the kernel's metric"
