"""Incoming connections, which must meet the same conditions as our own.

The kernel has checked the TCP MD5 key and keeps to the TTL. What it cannot know before it
accepts is checked here: that the caller is a neighbour, and came to the very address that we
would call it from. Then the neighbour's socket options are set.
"""

import logging

from bgpd.net.peer_sockets import set_peer_options
from bgpd.net.tcp_connection import Connection
from bgpd.session.zones import split_zone
from bgpd.speaker.dynamic_neighbours import add_dynamic_neighbour
from bgpd.speaker.neighbours import Neighbours
from bgpd.speaker.unknown_sources import UnknownSources

_log = logging.getLogger(__name__)


class IncomingConnections:
    """Hands incoming connections to their neighbours.

    Args:
        neighbours: Those that there are, and the ranges.

    Attributes:
        rejected_count: Connections that were closed because no neighbour may have made them.
    """

    def __init__(self, neighbours: Neighbours) -> None:
        self.rejected_count = 0
        self._neighbours = neighbours
        self._unknown_peers = UnknownSources()

    def answer(self, connection: Connection) -> None:
        """Hand a connection to its neighbour, or close it."""
        neighbours = self._neighbours
        local, remote = connection.address_pair()
        peer = neighbours.peers.get(remote)
        chosen, expected = None, ""
        if peer is not None and not peer.range_name:
            expected = peer.settings.local_addr
        elif remote:
            # A neighbour of a range may have been called from where it knew us before a
            # restart: only its range's address is binding.
            chosen = neighbours.ranges.of(remote)
            expected = "" if chosen is None else chosen.template.local_addr
        if expected and split_zone(expected)[0] != split_zone(local)[0]:
            wrong = f"it arrived at {local}, but local_address is {expected}"
            name = "" if peer is None else peer.settings.name
            self._refuse(connection, remote, wrong, name)
            return
        if peer is None and chosen is not None:
            peer = add_dynamic_neighbour(neighbours, remote, chosen)
        if peer is None:
            self._refuse(connection, remote, "no such neighbour")
            return
        try:
            set_peer_options(connection.sock, peer.settings)
        except OSError as error:
            _log.info(
                "connection from %(address)s failed: %(reason)s",
                {
                    "event": "connection-failed",
                    "address": remote,
                    "peer": peer.settings.name,
                    "reason": error.strerror,
                },
            )
            connection.close()
            return
        if peer.range_name and peer.stale_family_count:
            peer.driver.start()  # back while its routes wait for it; or no effect
        peer.driver.adopt(connection)

    def _refuse(
        self, connection: Connection, remote: str, reason: str, name: str = ""
    ) -> None:
        """Close a connection from an unknown source; do not log each of them."""
        connection.close()
        self.rejected_count += 1
        if self._unknown_peers.is_news(remote or "?", self._neighbours.now):
            _log.info(
                "connection from %(address)s rejected: %(reason)s",
                {
                    "event": "connection-rejected",
                    "address": remote or "?",
                    "reason": reason,
                    "peer": name,
                },
            )
