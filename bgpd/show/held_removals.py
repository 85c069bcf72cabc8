"""``calico held`` and ``calico confirm``: implausible removals."""

from collections.abc import Iterator

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.state import DaemonView

_YIELD_AFTER = 100  # rows between two yield points


def held(view: DaemonView, _: Arguments) -> Iterator[Row | None]:
    """Return a row for each object that is held."""
    if view.cluster is None:
        return
    for count, row in enumerate(view.cluster.holds.objects(view.wall_time), 1):
        yield row
        if not count % _YIELD_AFTER:
            yield None


def confirm(view: DaemonView, _: Arguments) -> Row:
    """Confirm the held removals.

    Raises:
        ControlError: ``nothing-held``.
    """
    lines = [] if view.cluster is None else view.cluster.holds.confirm()
    if not lines:
        raise ControlError("nothing-held", "no removal is held; there is nothing to do")
    return {"lines": lines}
