"""How many prefixes a peer may announce (``max_prefixes``), and what follows from more."""

import logging
from collections.abc import Mapping

from bgpd.session.settings import PeerSettings
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError
from rib.adj_rib_in import AdjRibIn
from rib.family import Family

_log = logging.getLogger(__name__)


def exceeded(
    settings: PeerSettings, ribs: Mapping[Family, AdjRibIn], warned: set[Family]
) -> NotifyError | None:
    """Return the error that ends a session with too many prefixes (RFC 4486 4).

    What was refused counts, too: it is kept.

    Args:
        settings: The peer's: its limits, and from which part of them on a warning is logged.
        ribs: What the peer announced.
        warned: Families that were warned of in this session; added to.
    """
    for mine in settings.families:
        rib = ribs.get(mine.family)
        if not mine.max_prefixes or rib is None:
            continue
        count = rib.received_count
        if count > mine.max_prefixes:
            data = mine.family.afi.to_bytes(2, "big") + bytes([mine.family.safi])
            return NotifyError(
                ErrorCode.CEASE,
                CeaseSubcode.MAX_PREFIXES_REACHED,
                data + mine.max_prefixes.to_bytes(4, "big"),
                f"{count} prefixes of {mine.family}, "
                f"at most {mine.max_prefixes} are allowed",
            )
        warn_at = mine.max_prefixes * mine.max_prefixes_warning // 100
        if count > warn_at and mine.family not in warned:
            warned.add(mine.family)
            _log.warning(
                "%s (%s): %d prefixes of %s, the limit is %d",
                settings.name,
                settings.remote_addr,
                count,
                mine.family,
                mine.max_prefixes,
            )
    return None
