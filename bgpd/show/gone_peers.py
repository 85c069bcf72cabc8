"""``show peers --gone``: dynamic neighbours that were up and are gone."""

from collections.abc import Iterator

from bgpd.api.protocol import Arguments, Row
from bgpd.show.state import DaemonView

_NOT_BACK = "not back since this daemon's restart"


def gone_peers(view: DaemonView, arguments: Arguments) -> Iterator[Row]:
    """Yield a row for each, the latest first; one that is connected again is not gone."""
    wanted, speaker, now = arguments.get("range", ()), view.speaker, view.now
    for gone in speaker.neighbours.gone.all(now):
        if gone.address in speaker.peers or (wanted and gone.range_name not in wanted):
            continue
        yield {
            "address": gone.address,
            "range": gone.range_name,
            "remote_as": gone.remote_as or None,
            "established_transitions": gone.sessions,
            "reason": gone.reason or _NOT_BACK,
            "gone_at": view.wall_time(gone.at),
            "age": max(0, int(now - gone.at)),
        }
