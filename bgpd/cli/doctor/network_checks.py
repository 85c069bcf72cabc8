"""Checks of addresses, interfaces and routes."""

import socket
from collections.abc import Iterator
from typing import Final

from bgpd.cli.doctor.findings import Finding, fault, ok, warning
from bgpd.cli.doctor.machine_checks import Machine
from bgpd.config.settings import DaemonSettings
from bgpd.net.sockets import is_own_address
from fib.netlink.rtnetlink import (
    RTM_NEWROUTE,
    numbered,
    parse_route,
    route_dump,
    split_messages,
)

_DONE: Final = 3  # NLMSG_DONE
_ERROR: Final = 2  # NLMSG_ERROR
_MOST_OCTETS: Final = 64 << 20  # of a table: more is not read for a count
# Devices of overlays, and what their headers take.
_OVERLAYS: Final = {
    "tunl0": 20,
    "vxlan.calico": 50,
    "vxlan-v6.calico": 70,
    "wireguard.cali": 60,
    "wg-v6.cali": 80,
}
_VIRTUAL: Final = (
    "lo",
    "ifb",
    "cali",
    "veth",
    "docker",
    "br-",
    "dummy",
    "kube-",
    "nodelocal",
)


def addresses(settings: DaemonSettings) -> Iterator[Finding]:
    """Look for the configured addresses on this machine."""
    name = "addresses"
    speaker = settings.speaker
    found = []
    if speaker.router_id and not is_own_address(speaker.router_id):
        text = f"router ID {speaker.router_id} is not an address of this machine"
        found.append(warning(name, text, "that is allowed, if no other router has it"))
    missing = [each for each in speaker.listen_addresses if not is_own_address(each)]
    found += [
        fault(name, f"bgp.listen: no interface has {each}", "correct it, or add it")
        for each in missing
    ]
    own = sorted({peer.local_addr for peer in settings.peers if peer.local_addr})
    found += [
        fault(name, f"local_address: no interface has {each}", "correct it, or add it")
        for each in own
        if not is_own_address(each.partition("%")[0])
    ]
    yield from found or [ok(name, "those of the configuration are here")]


def mtus(machine: Machine) -> Iterator[Finding]:
    """Compare the MTU of overlays with that of the devices below them."""
    name = "MTU"
    found: dict[str, int] = {}
    for device in sorted((machine.sys / "class" / "net").iterdir()):
        try:
            found[device.name] = int((device / "mtu").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # it is gone
    below = {
        device: mtu
        for device, mtu in found.items()
        if device not in _OVERLAYS and not device.startswith(_VIRTUAL)
    }
    overlays = found.keys() & _OVERLAYS.keys()
    least = min(below.values(), default=0)
    for overlay in sorted(overlays):
        fits = least - _OVERLAYS[overlay]
        if least and found[overlay] > fits:
            yield warning(
                name,
                f"{overlay} has {found[overlay]}, and at most {fits} fit through "
                f"{min(below, key=lambda each: below[each])}: large packets are lost",
                f"set the MTU of Calico (FelixConfiguration, CNI) to {fits}",
            )
    if not overlays:
        yield ok(name, ", ".join(f"{device} {mtu}" for device, mtu in below.items()))
    elif all(not least or found[each] <= least - _OVERLAYS[each] for each in overlays):
        yield ok(name, ", ".join(f"{each} {found[each]}" for each in sorted(overlays)))


def leftovers(settings: DaemonSettings | None) -> Iterator[Finding]:
    """Count routes that have our mark already, of BIRD or of an earlier run."""
    name = "kernel routes"
    table, protocol = 254, 12
    if settings is not None:
        if not settings.fib.is_enabled:
            yield ok(name, "fib.mode is off: none is written")
            return
        table, protocol = settings.fib.table, settings.fib.protocol
    count = sum(count_routes(family, table, protocol) for family in (1, 2))
    where = f"table {table}, protocol {protocol}"
    if not count:
        yield ok(name, f"none in {where} yet")
        return
    advice = (
        "the daemon keeps those that it has, too, and removes the rest 120 s after its "
        f"start; ip route show table {table} proto {protocol}"
    )
    yield warning(name, f"{count} in {where}, of BIRD or of an earlier run", advice)


def count_routes(afi: int, table: int, protocol: int) -> int:
    """Return how many routes of a family have a mark."""
    found = read = 0
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as sock:
        sock.settimeout(2.0)
        sock.send(numbered(route_dump(afi, table, protocol), 1))
        while read < _MOST_OCTETS:
            data = sock.recv(1 << 18)
            read += len(data)
            for item in split_messages(data):
                if item.type in {_DONE, _ERROR}:
                    return found
                if item.type == RTM_NEWROUTE:
                    route = parse_route(data, item.start, item.end)
                    # Not every kernel leaves out what was not asked for.
                    mark = None if route is None else (route.table, route.protocol)
                    found += mark == (table, protocol)
    return found
