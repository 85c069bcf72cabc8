"""The two ends of a TCP connection. Pure."""

from typing import NamedTuple


class Ends(NamedTuple):
    """The two ends of a connection.

    Attributes:
        local_address: Ours; of a link-local one, the zone is the device.
        local_port: Ours.
        remote_address: The peer's, as ``local_address``.
        remote_port: The peer's.
        is_outgoing: We connected to the peer.
    """

    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    is_outgoing: bool
