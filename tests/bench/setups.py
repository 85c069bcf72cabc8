"""How each router is set up for a load: its command line, and what the load must know of it."""

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.crowds import peer_asn
from tests.bench.feed import ASN, ROUTER, client_address
from tests.bench.peers import BIRD3
from tests.bench.scenarios import OURS, own_program, program_of

COMPILED: Final = "BENCH_COMPILED"  # names the pybgpd of a compiled build


class Setup(NamedTuple):
    """A router that is ready to start.

    Attributes:
        command: Its command line.
        parameters: What the load must know.
    """

    command: list[str]
    parameters: Mapping[str, Any] = {}


class Wanted(NamedTuple):
    """What a load wants of a router.

    Attributes:
        style: ``reflector``: all clients are internal. ``external``: each is of its own
            AS. ``import`` and ``export``: a reflector, of whose clients all but the last two
            have a policy there, of which the load has a second form.
        clients: Sessions that the load opens.
        has_kernel: The router writes to the kernel.
    """

    style: str
    clients: int
    has_kernel: bool


_BIRD: Final = """router id {router};
protocol device {{ scan time 5; }}
template bgp loaded {{
 local {router} as {asn}; {client} passive on; multihop; hold time 240;
 ipv4 {{ {igp} import all; export all; }};
}}
"""
# Next hops resolve outside of what BGP learns, or BIRD resolves through all of it.
_NO_KERNEL: Final = """ipv4 table igp4;
protocol static { ipv4 { table igp4; }; route 0.0.0.0/0 blackhole; }
"""
_KERNEL: Final = """protocol direct { ipv4; }
protocol kernel { learn; ipv4 { import all; export where source = RTS_BGP; }; }
"""
# A table of what was received is what lets BIRD judge it again without asking for it.
_POLICY: Final = """filter judged {{ bgp_community.add(({asn}, {value})); accept; }}
template bgp changing from loaded {{
 ipv4 {{ {table} {way} filter judged; }};
}}
"""
_FRR: Final = """router bgp {asn}
 bgp router-id {router}
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
{peers}
 address-family ipv4 unicast
{active}
 exit-address-family
"""
_OURS: Final = """bgp:
  as: {asn}
  router_id: {router}
  listen: {{addresses: [{router}]}}
  defaults: {{passive: on, hold_time: 240}}
fib: {{mode: "off"}}
next_hops: {{resolve: trust}}
control: {{path: {folder}/control}}
"""


def bird(folder: Path, wanted: Wanted, program: str) -> Setup:
    """Write BIRD's configuration."""
    config = folder / "bird.conf"
    config.write_text(_bird_text(wanted, 1), encoding="utf-8")
    socket = str(folder / "bird.ctl")
    command = [program, "-f", "-c", str(config), "-s", socket]
    if wanted.style not in {"import", "export"}:
        return Setup(command)
    after = folder / "after.conf"
    after.write_text(_bird_text(wanted, 2), encoding="utf-8")
    asked = [str(Path(program).with_name("birdc")), "-s", socket, "configure"]
    parameters = {"files": {str(after): str(config)}, "command": asked}
    return Setup(command, parameters)


def _bird_text(wanted: Wanted, value: int) -> str:
    igp = "" if wanted.has_kernel else "igp table igp4;"
    text = "" if wanted.has_kernel else _NO_KERNEL
    client = "" if wanted.style == "external" else "rr client;"
    text += _BIRD.format(router=ROUTER, asn=ASN, igp=igp, client=client)
    text += _KERNEL if wanted.has_kernel else ""
    judged = 0
    if wanted.style in {"import", "export"}:
        table = "import table yes;" if wanted.style == "import" else ""
        text += _POLICY.format(asn=ASN, value=value, way=wanted.style, table=table)
        judged = wanted.clients - 2
    for number in range(1, wanted.clients + 1):
        asn = peer_asn(number) if wanted.style == "external" else ASN
        template = "changing" if number <= judged else "loaded"
        peer = f"neighbor {client_address(number)} as {asn};"
        text += f"protocol bgp c{number} from {template} {{ {peer} }}\n"
    return text


def frr(folder: Path, wanted: Wanted, program: str) -> Setup:
    """Write FRR's configuration, for external peers."""
    peers, active = [], []
    for number in range(1, wanted.clients + 1):
        name = f" neighbor {client_address(number)}"
        peers.append(f"{name} remote-as {peer_asn(number)}")
        peers += [f"{name} passive", f"{name} ebgp-multihop"]
        peers.append(f"{name} advertisement-interval 0")
        active.append(f" {name} activate")
    config = folder / "bgpd.conf"
    text = _FRR.format(
        asn=ASN, router=ROUTER, peers="\n".join(peers), active="\n".join(active)
    )
    config.write_text(text, encoding="utf-8")
    folder.chmod(0o777)
    words = ["-Z", "-S", "-n", "-f", str(config), "-p", "179", "-l", ROUTER]
    words += ["-i", str(folder / "bgpd.pid"), "--vty_socket", str(folder)]
    return Setup([program, *words])


def ours(folder: Path, wanted: Wanted, program: str) -> Setup:
    """Write our configuration, where one is needed."""
    if wanted.style == "reflector":
        values = {
            "listen": ROUTER,
            "port": 179,
            "asn": ASN,
            "router_id": ROUTER,
            "range": "172.17.0.0/16",
            "fib": "on" if wanted.has_kernel else "off",
        }
        return Setup(shlex.split(OURS.format(program=program).format(**values)))
    config = folder / "pybgpd.yaml"
    config.write_text(_our_text(wanted, folder, 1), encoding="utf-8")
    command = [*shlex.split(program), "run", "--config", str(config)]
    if wanted.style == "external":
        return Setup(command)
    after = folder / "after.yaml"
    after.write_text(_our_text(wanted, folder, 2), encoding="utf-8")
    return Setup(command, {"files": {str(after): str(config)}, "command": []})


def _our_text(wanted: Wanted, folder: Path, value: int) -> str:
    text = _OURS.format(asn=ASN, router=ROUTER, folder=folder)
    if wanted.style == "external":
        session = (
            "import_policy: accept-all, export_policy: accept-all, multihop_ttl: 64"
        )
        text += "peers:\n"
        for number in range(1, wanted.clients + 1):
            address, asn = client_address(number), peer_asn(number)
            text += f"  - {{address: {address}, as: {asn}, {session}}}\n"
        return text
    term = f'{{action: accept, set: {{communities: {{add: ["{ASN}:{value}"]}}}}}}'
    text += f"policies:\n  judged:\n    terms:\n      - {term}\n"
    policy = f"{wanted.style}_policy: judged"
    text += (
        f"ranges:\n  - {{prefix: 172.17.0.0/16, as: internal, client: on, {policy}}}\n"
    )
    text += "peers:\n"
    for number in wanted.clients - 1, wanted.clients:
        text += f"  - {{address: {client_address(number)}, as: internal, client: on}}\n"
    return text


ROUTERS: Final[dict[str, Callable[[Path, Wanted, str], Setup]]] = {
    "bird": bird,
    "bird3": bird,
    "frr": frr,
    "ours": ours,
    "compiled": ours,
}


def program_for(router: str) -> str:
    """Return what is started for a router; empty where it is not here."""
    if router == "ours":
        return own_program()
    if router in {"bird3", "compiled"}:
        return os.environ.get(BIRD3 if router == "bird3" else COMPILED, "")
    return shutil.which(program_of(router)) or ""
