"""Sessions whose far end is this machine: those with other programs work, one with itself cannot.

A bridge's address that another Node object claims, say docker's, which every machine has:
the connection ends at this daemon, or at nobody.
"""

from collections.abc import Iterable, Iterator

from bgpd.daemon.peer import Peer
from bgpd.session.fsm import State
from rib.nlri import parse_address

Address = tuple[bytes, int, str]  # 4 or 16 octets, length, device
Endpoint = tuple[str, int]


def sessions_with_itself(
    peers: Iterable[Peer], listening: Iterable[Endpoint], addresses: Iterable[Address]
) -> Iterator[str]:
    """Yield a line for each peer that can be nobody but this daemon.

    Args:
        peers: All peers.
        listening: Addresses and ports that the daemon listens on.
        addresses: Those of the machine.
    """
    ports = {port for _, port in listening}
    devices = {address: device for address, _, device in addresses}
    for peer in peers:
        settings = peer.settings
        if peer.range_name or settings.port not in ports:
            continue
        if peer.state is State.ESTABLISHED or "%" in settings.remote_addr:
            continue
        device = devices.get(parse_address(settings.remote_addr))
        if device is not None:
            yield (
                f"{settings.name}: {settings.remote_addr} is an address of this machine,"
                f" on {device}, and its port {settings.port} is the daemon's own: there"
                f" is no session with itself ({settings.description or 'configured'})"
            )
