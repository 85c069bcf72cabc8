"""Sockets for one peer's settings: MD5 key, device, source address, TTL."""

from bgpd.net.network import Network, Socket
from bgpd.net.sockets import bind_device, endpoint, make_socket, set_md5_key, set_ttl
from bgpd.session.settings import PeerSettings
from bgpd.session.zones import split_zone, with_zone


def outgoing_socket(network: Network, settings: PeerSettings) -> Socket:
    """Return a socket for connecting to a peer, bound by its settings.

    Raises:
        OSError: Its options or its source address cannot be set.
    """
    sock = make_socket(settings.remote_addr, network)
    try:
        if settings.password:
            set_md5_key(sock, settings.remote_addr, settings.password)
        set_peer_options(sock, settings)
        if settings.local_addr:
            zone = settings.interface or split_zone(settings.remote_addr)[1]
            sock.bind(endpoint(with_zone(settings.local_addr, zone), 0))
    except BaseException:
        sock.close()
        raise
    return sock


def set_peer_options(sock: Socket, settings: PeerSettings) -> None:
    """Set a peer's options on its connection, in either direction: device and TTL.

    Raises:
        OSError: The device is gone, or the connection.
    """
    if settings.interface:
        bind_device(sock, settings.interface)
    sent = settings.multihop_ttl or (1 if settings.is_internal is False else 0)
    set_ttl(sock, sent=sent, security_hops=settings.ttl_security_hops)
