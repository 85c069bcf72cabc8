"""This machine's addresses, asked of the kernel when they are needed.

A session over one address family that carries the other (RFC 4760, RFC 2545) announces a
next hop of the other family: an address of the interface that the session runs over.
"""

from typing import Final

from fib.netlink import dump_small
from fib.rtnetlink import RTM_NEWADDR, address_dump, parse_address_message

_LINK_LOCAL_V6: Final = b"\xfe\x80"  # RFC 4291 2.5.6
_LOOPBACK_LINK: Final = 1  # Linux numbers lo first in every namespace


def sibling_address(local: bytes, octets: int) -> bytes:
    """Return an address of the other family on the interface that has ``local``.

    Args:
        local: 4 or 16 octets.
        octets: Length of the address wanted, 4 or 16.

    Returns:
        A global address of that interface; else one of another interface; empty where
        the machine has none.

    Raises:
        FibError: The kernel cannot be asked.
    """
    known = [
        parse_address_message(data, item.start, item.end)
        for data, item in dump_small(address_dump())
        if item.type == RTM_NEWADDR
    ]
    links = {entry.link for entry in known if entry.address == local}
    fitting = [
        (entry.link not in links, entry.link == _LOOPBACK_LINK, entry.address)
        for entry in known
        if len(entry.address) == octets and not _is_link_local(entry.address)
    ]
    usable = [entry for entry in fitting if not (entry[0] and entry[1])]
    return min(usable, default=(False, False, b""))[2]


def _is_link_local(address: bytes) -> bool:
    return len(address) == 16 and address.startswith(_LINK_LOCAL_V6)
