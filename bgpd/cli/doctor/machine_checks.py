"""Checks of the machine itself: kernel, privileges, limits, other programs."""

import ctypes
import errno
import os
import platform
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bgpd.cli.doctor.findings import Finding, fault, ok, unknown, warning
from bgpd.config.settings import DaemonSettings, DatastoreKind
from bgpd.net.sockets import SocketError, set_md5_key
from bgpd.runtime.build import version_line
from fib.netlink.rtnetlink import next_hop_dump, parse_error, split_messages

NET_BIND_SERVICE: Final = 10  # linux/capability.h
NET_ADMIN: Final = 12
SPARE_FILES: Final = 64  # descriptors besides those of sessions
NLMSG_ERROR: Final = 2
_IN_CREATE: Final = 0x100  # sys/inotify.h
_LISTENING: Final = "0A"  # /proc/net/tcp
# Names of processes (15 characters at most) that speak BGP, or write their configuration.
BGP_DAEMONS: Final = {
    "bird": "BIRD",
    "bird6": "BIRD",
    "bgpd": "FRR or OpenBGPD",
    "gobgpd": "GoBGP",
    "exabgp": "ExaBGP",
    "rustybgpd": "RustyBGP",
    "confd": "confd of Calico",
}


class Machine:
    """What the kernel says of this machine.

    Args:
        root: Of its file system; another one in tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.proc = root / "proc"
        self.sys = root / "sys"
        self.modules = root / "lib" / "modules"

    def sysctl(self, name: str) -> int | None:
        """Return the number that a kernel setting has; ``None`` where it is not there."""
        path = self.proc / "sys" / Path(*name.split("."))
        try:
            return int(path.read_text(encoding="ascii").split()[-1])
        except (OSError, ValueError, IndexError):
            return None

    def processes(self) -> Iterator[tuple[int, str]]:
        """Yield number and name of each process that may be on our network.

        Those of other network namespaces, such as containers of their own, are left out.
        """
        own = self._network("self")
        for folder in self.proc.iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                name = (folder / "comm").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it ended meanwhile
            if self._network(folder.name) in {own, ""}:
                yield int(folder.name), name.strip()

    def _network(self, process: str) -> str:
        """Return which network namespace a process is in; empty if that cannot be seen."""
        try:
            return str((self.proc / process / "ns" / "net").readlink())
        except OSError:
            return ""


def sessions_of(settings: DaemonSettings) -> int:
    """Return how many sessions a configuration may come to."""
    return len(settings.peers) + sum(each.limit for each in settings.ranges)


# -- the program and its rights -------------------------------------------------------------


def program() -> Iterator[Finding]:
    """Say which build runs."""
    name = "program"
    yield ok(name, version_line("pybgpd"))
    try:
        import uvloop  # noqa: F401, PLC0415  # only whether it is there
    except ImportError:
        yield warning(
            name, "without uvloop the event loop is slower", "pip install uvloop"
        )


def capabilities(
    machine: Machine, settings: DaemonSettings | None
) -> Iterator[Finding]:
    """Compare the rights of this process with what the daemon needs."""
    name = "capabilities"
    text = (machine.proc / "self" / "status").read_text(
        encoding="ascii", errors="replace"
    )
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    needed = dict(_needed_capabilities(machine, settings))
    missing = [word for word, bit in needed.items() if not held >> bit & 1]
    if missing:
        yield fault(
            name,
            f"this user lacks {', '.join(missing)}",
            "run the daemon as root or by configs/systemd, and doctor as the same user",
        )
    elif needed:
        yield ok(name, ", ".join(needed))
    else:
        yield ok(name, "none is needed")


def _needed_capabilities(
    machine: Machine, settings: DaemonSettings | None
) -> Iterator[tuple[str, int]]:
    if settings is None or settings.fib.is_enabled:
        yield "CAP_NET_ADMIN", NET_ADMIN
    port = 179 if settings is None else settings.speaker.listen_port
    first_free = machine.sysctl("net.ipv4.ip_unprivileged_port_start")
    if port < (1024 if first_free is None else first_free):
        yield "CAP_NET_BIND_SERVICE", NET_BIND_SERVICE


# -- the kernel -----------------------------------------------------------------------------


def kernel(machine: Machine, settings: DaemonSettings | None) -> Iterator[Finding]:
    """Try what the daemon uses of the kernel."""
    name = "kernel"
    yield ok(name, f"Linux {platform.release()}")
    if settings is None or settings.fib.is_enabled:
        if has_next_hop_objects():
            yield ok(name, "next-hop objects")
        else:
            yield warning(
                name,
                "no next-hop objects: each route of a lost next hop is changed by itself",
                "Linux 5.3 and later have them",
            )
    yield _md5()
    if settings is not None and settings.datastore.kind is not DatastoreKind.NONE:
        yield _ipip(machine)


def has_next_hop_objects() -> bool:
    """Return whether the kernel lists next-hop objects."""
    family = (socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with socket.socket(*family) as sock:
        sock.settimeout(1.0)
        sock.send(next_hop_dump())
        data = sock.recv(1 << 16)
    first = next(iter(split_messages(data)))
    return first.type != NLMSG_ERROR or parse_error(data, first)[0] == 0


def _md5() -> Finding:
    with socket.socket() as sock:
        try:
            set_md5_key(sock, "192.0.2.1", "doctor")
        except SocketError as error:
            advice = (
                "a kernel with CONFIG_TCP_MD5SIG; without it no session has a password"
            )
            return warning("kernel", f"TCP-MD5: {error.strerror}", advice)
    return ok("kernel", "TCP-MD5 keys (RFC 2385)")


def _ipip(machine: Machine) -> Finding:
    release = machine.modules / platform.release()
    if (machine.sys / "class" / "net" / "tunl0").exists() or any(
        "ipip" in _text_of(path)
        for path in (
            machine.proc / "modules",
            release / "modules.dep",
            release / "modules.builtin",
        )
    ):
        return ok("kernel", "IPIP tunnels")
    return warning(
        "kernel",
        "no module ipip: pools with ipipMode have no tunnel",
        "modprobe ipip, or a kernel that has it; VXLAN needs none",
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# -- limits ---------------------------------------------------------------------------------


def limits(machine: Machine, settings: DaemonSettings | None) -> Iterator[Finding]:
    """Compare limits of the process and of the kernel with the sessions there may be."""
    name = "limits"
    sessions = 0 if settings is None else sessions_of(settings)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sessions + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        yield fault(
            name,
            f"{soft} open files, and {sessions} sessions need {needed}",
            f"LimitNOFILE={needed} in the unit, or ulimit -n {needed}",
        )
    else:
        yield ok(name, f"{soft} open files for {sessions} sessions")
    yield _inotify()
    yield from _neighbours(machine, sessions)


def _inotify() -> Finding:
    """Try to watch a folder, as the daemon does for its files and a folder of objects."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    try:
        if (
            descriptor >= 0
            and libc.inotify_add_watch(descriptor, b"/", _IN_CREATE) >= 0
        ):
            return ok("limits", "inotify")
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    number = ctypes.get_errno()
    keys = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}
    key = keys.get(number)
    return warning(
        "limits",
        f"inotify: {os.strerror(number)}; changed files are found later, by polling",
        f"double fs.inotify.{key}: sysctl -w" if key else "",
    )


def _neighbours(machine: Machine, sessions: int) -> Iterator[Finding]:
    for family in ("ipv4", "ipv6"):
        key = f"net.{family}.neigh.default.gc_thresh3"
        most = machine.sysctl(key)
        if most is not None and sessions > most // 2:
            yield warning(
                "limits",
                f"{key} is {most}: {sessions} neighbours on one link do not fit well",
                f"sysctl -w {key}={sessions * 4}, and gc_thresh2 to half of it",
            )


# -- kernel settings ------------------------------------------------------------------------

_FORWARDING: Final = {
    "net.ipv4.ip_forward": "IPv4",
    "net.ipv6.conf.all.forwarding": "IPv6",
}
# Many peers: what they need, and from how many sessions on.
_ROOM: Final = (
    ("net.core.somaxconn", 1024, 500, "connections at once when it starts"),
    ("net.ipv4.tcp_max_syn_backlog", 1024, 500, "connections at once when it starts"),
    ("net.core.optmem_max", 131072, 900, "MD5 keys"),
    ("net.core.rmem_max", 4194304, 0, "messages about routes while thousands change"),
)


def sysctls(machine: Machine, settings: DaemonSettings | None) -> Iterator[Finding]:
    """Compare settings of the kernel with what is configured."""
    name = "sysctl"
    found = list(_forwarding(machine, settings))
    sessions = 0 if settings is None else sessions_of(settings)
    for key, least, many, what in _ROOM:
        value = machine.sysctl(key)
        if value is not None and value < least and sessions >= many:
            found.append(
                warning(
                    name,
                    f"{key} is {value}: little room for {what}",
                    "copy configs/sysctl/90-pybgpd.conf to /etc/sysctl.d",
                )
            )
    yield from found or [ok(name, "forwarding, reverse paths and buffers")]


def _forwarding(machine: Machine, settings: DaemonSettings | None) -> Iterator[Finding]:
    if settings is not None and not settings.fib.is_enabled:
        return  # it forwards nothing
    for key, family in _FORWARDING.items():
        value = machine.sysctl(key)
        if value is None:
            yield unknown("sysctl", f"{key}; is {family} disabled?")
        elif not value:
            yield warning(
                "sysctl",
                f"{key} is 0: packets of {family} are not forwarded",
                f"sysctl -w {key}=1",
            )
    folder = machine.proc / "sys" / "net" / "ipv4" / "conf"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    strict = [
        each for each in names if machine.sysctl(f"net.ipv4.conf.{each}.rp_filter") == 1
    ]
    if strict:
        yield warning(
            "sysctl",
            f"rp_filter is strict on {', '.join(strict[:5])}: packets that come another "
            "way than they would go are dropped, as with several paths",
            "sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2",
        )


# -- other programs -------------------------------------------------------------------------


def programs(machine: Machine) -> Iterator[Finding]:
    """Look for other BGP daemons."""
    name = "other daemons"
    found = [
        (number, comm) for number, comm in machine.processes() if comm in BGP_DAEMONS
    ]
    for number, comm in sorted(found):
        yield warning(
            name,
            f"{BGP_DAEMONS[comm]} runs: {comm}, process {number}",
            "two daemons fight for port 179 and for routes; stop one",
        )
    if not found:
        yield ok(name, "none runs")


def port(machine: Machine, settings: DaemonSettings | None) -> Iterator[Finding]:
    """Look for the process that listens on our port."""
    name = "port"
    number = 179 if settings is None else settings.speaker.listen_port
    sockets = {
        inode
        for table in ("tcp", "tcp6")
        for inode in _listening(machine.proc / "net" / table, number)
    }
    if not sockets:
        yield ok(name, f"TCP {number} is free")
        return
    holders = _holders(machine, sockets)
    if not holders:
        text = f"TCP {number} is in use, and by which program"
        yield unknown(name, text, f"as root: ss -ltnp sport = :{number}")
    for comm, process in sorted(holders):
        if comm.startswith(("pybgpd", "python")):
            yield ok(name, f"TCP {number} is in use by {comm}, process {process}")
        else:
            yield fault(
                name, f"TCP {number} is in use by {comm}, process {process}", "stop it"
            )


def _listening(table: Path, number: int) -> Iterator[str]:
    """Yield the inodes of sockets that listen on a port, by a file of /proc/net."""
    for line in _text_of(table).splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTENING:
            _, _, own = words[1].rpartition(":")
            if int(own, 16) == number:
                yield words[9]


def _holders(machine: Machine, inodes: set[str]) -> set[tuple[str, int]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = set()
    for number, comm in machine.processes():
        try:
            folder = machine.proc / str(number) / "fd"
            links = {str(each.readlink()) for each in folder.iterdir()}
        except OSError:
            continue  # another user's, or it ended
        if wanted & links:
            found.add((comm, number))
    return found
