"""``show interfaces`` in BIRD 2's form."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from bgpd.api.bird import Line
from rib.nlri import format_address

if TYPE_CHECKING:
    from fib.kernel_view import Link

_IPV4, _IPV6 = 4, 16  # octets of an address
_FAMILIES: Final = (_IPV4, _IPV6)


def second_interfaces(links: "Iterable[Link]", *, is_summary: bool) -> Iterator[Line]:
    """Yield the answer."""
    if is_summary:
        yield Line(2005, "Interface  State  IPv4 address       IPv6 address")
    for link in links:
        state = "up" if link.is_admin_up else "down"
        if is_summary:
            first = [
                next((_text(a, n) for a, n in link.addresses if len(a) == octets), "")
                for octets in _FAMILIES
            ]
            yield Line(1005, f"{link.name:<10s} {state:<6s} {first[0]:<18s} {first[1]}")
            continue
        yield Line(1001, f"{link.name} {state} (index={link.index})")
        carrier = "Up" if link.is_up else "Down"
        yield Line(1004, f"\tAdmin{state.title()} Link{carrier}")
        seen: set[int] = set()
        for address, bits in link.addresses:
            mark = "" if len(address) in seen else "Preferred, "
            seen.add(len(address))
            yield Line(1003, f"\t{_text(address, bits)} ({mark}scope univ)")
    yield Line(0, is_last=True)


def _text(address: bytes, bits: int) -> str:
    return f"{format_address(address)}/{bits}"
