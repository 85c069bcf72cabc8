"""TCP sockets for BGP: MD5 keys, TTL security, source address, device.

Options are set before connecting or listening; the kernel then enforces them. A refusal by
the kernel becomes a ``SocketError`` that says which option and what to do about it.
"""

import errno
import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from struct import Struct
from typing import Any, Final

from bgpd.net.network import KERNEL, Network, Socket
from bgpd.session.zones import split_zone, with_zone

IP_MINTTL: Final = 21  # linux/in.h
IPV6_MINHOPCOUNT: Final = 73  # linux/in6.h
IP_FREEBIND: Final = 15
TCP_MD5SIG: Final = 14  # linux/tcp.h
TCP_MD5SIG_EXT: Final = 32
BACKLOG: Final = 4096  # thousands of clients return at once after a reflector's restart
MAX_MD5_KEY: Final = 80  # octets, TCP_MD5SIG_MAXKEYLEN
_MD5_FLAG_PREFIX: Final = 1
_MD5_TAIL: Final = Struct("=BBHi")
_SOCKADDR_STORAGE: Final = 128  # octets
_MAX_TTL: Final = 255
_SYSTEM_TTL: Final = -1  # ip(7), ipv6(7): back to the default
_SCOPE_ID: Final = 3  # where in an IPv6 socket's address (RFC 3493 3.3)
_DSCP_CS6: Final = 0xC0  # network control, RFC 4594 3.1


class SocketError(OSError):
    """The kernel refused to make or set up a socket; the text says what to do."""


def family_of(addr: str) -> socket.AddressFamily:
    """Return the socket family of an address's text."""
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def endpoint(addr: str, port: int) -> tuple[object, ...]:
    """Return what ``connect`` and ``bind`` take; ``addr`` may end in ``%interface``.

    Raises:
        SocketError: There is no such interface.
    """
    if ":" not in addr:
        return addr, port
    plain, _, interface = addr.partition("%")
    if not interface:
        return plain, port, 0, 0
    try:
        return plain, port, 0, socket.if_nametoindex(interface)
    except OSError as error:
        raise SocketError(
            error.errno, f"no interface {interface!r} on this machine"
        ) from error


def make_socket(addr: str, network: Network = KERNEL) -> Socket:
    """Return a TCP socket of an address's family, not blocking, without Nagle's delay."""
    made = network.socket(family_of(addr))
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _DSCP_CS6)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_CS6)
    return made


def listening_socket(
    addr: str, port: int, *, is_free: bool = False, network: Network = KERNEL
) -> Socket:
    """Return a bound, not yet listening socket.

    Args:
        addr: Our address; ``::`` and ``0.0.0.0`` for all.
        port: TCP port.
        is_free: Bind even while no interface has the address yet.
        network: Makes it.

    Raises:
        SocketError: The port is taken, or needs a privilege.
    """
    made = make_socket(addr, network)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A peer with TTL security drops the answer to its SYN if it is any lower
        # (RFC 5082 3); whose it is, and what else holds for it, is not known yet.
        set_ttl(made, sent=_MAX_TTL)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_free:
            made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        made.bind(endpoint(addr, port))
    except OSError as error:
        made.close()
        raise SocketError(error.errno, _bind_advice(addr, port, error)) from error
    return made


def zone_socket(
    beside: Socket, addr: str, port: int, zone: str, network: Network = KERNEL
) -> Socket:
    """Return a bound, not yet listening socket for one device, beside one for all.

    The kernel keeps MD5 keys by address and knows no zone, so equal link-local addresses
    with different keys need sockets of their own; it gives a connection to the socket of
    the device that it comes over. Both share the port only while this one is bound.

    Args:
        beside: Listens on the same address and port, on all devices.
        addr: Our address; ``::`` for all.
        port: TCP port.
        zone: The device.
        network: Makes it.

    Raises:
        SocketError: There is no such device, or the kernel refused otherwise.
    """
    made = make_socket(addr, network)
    try:
        bind_device(made, zone)
        for sock in (beside, made):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        set_ttl(made, sent=_MAX_TTL)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(endpoint(addr, port))
        start_listening(made, BACKLOG)
    except SocketError:
        made.close()
        raise
    except OSError as error:
        made.close()
        raise SocketError(error.errno, _bind_advice(addr, port, error)) from error
    finally:
        for sock in (beside, made):
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    return made


def is_own_address(addr: str) -> bool:
    """Whether an interface of this machine has the address, or it is a wildcard."""
    try:
        with socket.socket(family_of(addr), socket.SOCK_DGRAM) as probe:
            probe.bind(endpoint(addr, 0))
    except OSError as error:  # others, such as a lack of descriptors, tell nothing
        return error.errno not in {errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO}
    return True


def start_listening(sock: Socket, backlog: int) -> None:
    """Listen on a bound socket.

    Raises:
        SocketError: Another program was sooner, since binding.
    """
    try:
        sock.listen(backlog)
    except OSError as error:
        addr, port = sock.getsockname()[:2]
        raise SocketError(error.errno, _bind_advice(addr, port, error)) from error


def _bind_advice(addr: str, port: int, error: OSError) -> str:
    advice = {
        errno.EADDRINUSE: "another program uses this port; choose another port or "
        "address",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "no interface has this address",
    }.get(error.errno or 0, error.strerror)
    return f"cannot listen on {addr} port {port}: {advice}"


def set_md5_key(
    sock: Socket, addr: str, key: str, length_bits: int | None = None
) -> None:
    """Require TCP MD5 signatures (RFC 2385) from an address or a prefix.

    Args:
        sock: Listening, or not yet connected.
        addr: The peer's address or the prefix's network address.
        key: Empty removes the key.
        length_bits: Of the prefix; ``None`` for an address.

    Raises:
        SocketError: The kernel has no such option, or no memory for another key.
    """
    octets = key.encode()
    plain = addr.partition("%")[0]
    if sock.family == socket.AF_INET6:
        sockaddr = b"\x0a\0" + b"\0" * 6 + socket.inet_pton(socket.AF_INET6, plain)
    else:
        sockaddr = b"\x02\0" + b"\0" * 2 + socket.inet_pton(socket.AF_INET, plain)
    is_prefix = length_bits is not None
    option = TCP_MD5SIG_EXT if is_prefix else TCP_MD5SIG
    tail = _MD5_TAIL.pack(
        _MD5_FLAG_PREFIX if is_prefix else 0, length_bits or 0, len(octets), 0
    )
    value = sockaddr.ljust(_SOCKADDR_STORAGE, b"\0") + tail
    try:
        sock.setsockopt(
            socket.IPPROTO_TCP, option, value + octets.ljust(MAX_MD5_KEY, b"\0")
        )
    except OSError as error:
        if not octets and error.errno == errno.ENOENT:
            return  # there was no key to remove
        raise SocketError(error.errno, _md5_advice(addr, error)) from error


def _md5_advice(addr: str, error: OSError) -> str:
    if error.errno == errno.ENOMEM:
        reason = (
            "the kernel has no room for more socket options; raise sysctl "
            "net.core.optmem_max, or use one key for a whole prefix"
        )
    elif error.errno == errno.ENOPROTOOPT:
        reason = "this kernel lacks CONFIG_TCP_MD5SIG"
    else:
        reason = str(error.strerror)
    return f"cannot set the MD5 key for {addr}: {reason}"


def set_ttl(sock: Socket, *, sent: int = 0, security_hops: int = 0) -> None:
    """Set the TTL to send, and the minimum to accept.

    Args:
        sock: Any TCP socket.
        sent: 0 is the system's default, also on a socket that inherited another value
            from the one that accepted it.
        security_hops: RFC 5082: send 255, accept ``256 - hops`` and more; 0 is off.
    """
    ttl = _MAX_TTL if security_hops else sent
    least = _MAX_TTL + 1 - security_hops if security_hops else 0
    if sock.family == socket.AF_INET6:
        level, hops, minimum = (
            socket.IPPROTO_IPV6,
            socket.IPV6_UNICAST_HOPS,
            IPV6_MINHOPCOUNT,
        )
    else:
        level, hops, minimum = socket.IPPROTO_IP, socket.IP_TTL, IP_MINTTL
    sock.setsockopt(level, hops, ttl or _SYSTEM_TTL)
    if least:
        sock.setsockopt(level, minimum, least)


def bind_device(sock: Socket, interface: str) -> None:
    """Let a socket use one interface only.

    Raises:
        SocketError: There is no such interface.
    """
    try:
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0"
        )
    except OSError as error:
        raise SocketError(
            error.errno, f"cannot use interface {interface!r}: {error.strerror}"
        ) from error


def canonical(addr: str) -> str:
    """Return an address as ``PeerSettings`` writes it; the zone of link-local stays.

    An IPv4 peer seen through an IPv6 socket is an IPv4 peer.
    """
    plain, percent, zone = addr.partition("%")
    parsed = ip_address(plain)
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return f"{parsed}{percent}{zone}" if parsed.is_link_local else str(parsed)


def address_of(name: tuple[Any, ...]) -> str:
    """Return the address in what a socket tells of its ends, as ``canonical`` has it.

    Python gives the zone of an IPv6 address as a number beside it.

    Raises:
        OSError: There is no such device any more.
    """
    address, number = canonical(name[0]), scope_of(name)
    return with_zone(address, socket.if_indextoname(number)) if number else address


def scope_of(name: tuple[Any, ...]) -> int:
    """Return the number of the device in what a socket tells of an end; 0 for none."""
    number: int = name[_SCOPE_ID] if len(name) > _SCOPE_ID else 0
    return number


def has_device(number: int) -> bool:
    """Return whether there is a device of that number."""
    try:
        socket.if_indextoname(number)
    except OSError:
        return False
    return True


def network(text: str) -> IPv4Network | IPv6Network:
    """Return a prefix, host bits cleared, without its zone."""
    return ip_network(split_zone(text)[0], strict=False)
