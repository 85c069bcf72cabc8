"""Sessions whose far end is this machine: other programs are peers, the daemon itself is none.

A bridge's address that another Node object claims, say docker's, which every machine has:
the connection ends at this daemon, or nowhere.
"""

from collections.abc import Iterable, Iterator

from bgpd.session.fsm import State
from bgpd.speaker.peer import Peer
from rib.nlri import parse_address

Address = tuple[bytes, int, str]  # 4 or 16 octets, length, device
Endpoint = tuple[str, int]


def sessions_with_itself(
    peers: Iterable[Peer], listening: Iterable[Endpoint], addresses: Iterable[Address]
) -> Iterator[str]:
    """Yield a line for each peer on this machine that is not there.

    Where the port is the daemon's own it never will be.

    Args:
        peers: All peers.
        listening: Addresses and ports that the daemon listens on.
        addresses: Those of the machine.
    """
    ports = {port for _, port in listening}
    devices = {address: device for address, _, device in addresses}
    for peer in peers:
        settings = peer.settings
        if peer.range_name or "%" in settings.remote_addr:
            continue
        if peer.state is State.ESTABLISHED:
            continue
        device = devices.get(parse_address(settings.remote_addr))
        if device is None:
            continue
        remark = f"and no other BGP speaker answers at port {settings.port}"
        if settings.port in ports:
            remark = f"where this daemon itself listens at port {settings.port}"
        yield (
            f"{settings.name} ({settings.description or 'configured'}):"
            f" {settings.remote_addr} is an address of this machine, on {device}, {remark}"
        )
