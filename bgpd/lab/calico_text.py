"""BIRD 2's configuration for a node of a Calico cluster, equal in meaning to Calico's. Pure.

Calico's own is for a fork of BIRD 1.6, one daemon per IP version, where ``krt_tunnel`` sends a
route through ``tunl0``. Here one BIRD 2 has both versions, one protocol per session and
version as in Calico; what it cannot do is that tunnel, so the kernel filter leaves a pool with
IPIP to Felix, whatever the objects say.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from bgpd.lab.calico_objects import Object, Objects, Session, sessions

NORMAL_PRIORITY: Final = 1024  # metric of an ordinary route, from Calico 3.32 on
_MAX_METRIC: Final = 2147483647  # LOCAL_PREF is this less the metric, from 3.32 on
_OPERATORS: Final = {"Equal": "=", "NotEqual": "!=", "In": "~", "NotIn": "!~"}
_BASE: Final = """\
log stderr { info, remote, warning, error, auth, fatal, bug };
debug protocols { states };
protocol device { scan time 2; }
protocol direct { ipv4; ipv6; interface -"cali*", -"kube-ipvs*", "*"; }
"""


def bird_text(objects: Objects) -> str:
    """Return ``bird.cfg`` of the node whose view ``objects`` is."""
    found = sessions(objects)
    router_id = objects.address(objects.node, 4) or "192.0.2.1"
    parts = [f"router id {router_id};\n{_BASE}"]
    for version in (4, 6):
        parts += [
            *_statics(objects, version),
            *_bgp_filters(objects, version),
            _export(objects, version),
            _kernel(objects, version),
        ]
    parts += [_protocol(objects, session) for session in found]
    return "\n".join(parts)


def _has_priorities(objects: Objects) -> bool:
    return objects.release >= (3, 32)


def _is_version(cidr: str, version: int) -> bool:
    return (":" in cidr) is (version == 6)


def _pools(objects: Objects, version: int) -> list[Object]:
    """Return the pools, the first by name of each range, in the order of ranges."""
    found: dict[str, Object] = {}
    for _, spec in sorted(objects.specs("IPPool").items()):
        cidr = str(spec.get("cidr", ""))
        if _is_version(cidr, version):
            found.setdefault(cidr, spec)
    return [found[cidr] for cidr in sorted(found)]


def _statics(objects: Objects, version: int) -> Iterator[str]:
    lines = [
        f"  route {cidr} blackhole;"
        for cidr, state in objects.blocks.items()
        if _is_version(cidr, version)
        and state != "pending"
        and ip_network(cidr).num_addresses > 1
    ]
    body = "\n".join([f"  ipv{version};", *lines])
    yield f"protocol static blocks{version} {{\n{body}\n}}"


def _export(objects: Objects, version: int) -> str:
    """Return what every session's export ends with."""
    lines = [
        f"  if net ~ {pool['cidr']} then reject;"
        for pool in _pools(objects, version)
        if pool.get("disableBGPExport")
    ]
    devices = 'ifname ~ "*.cali" || ifname ~ "*.calico"'
    if not _bird_owns(objects, is_ipip=True):
        devices += ' || ifname = "tunl0"'
    lines += [
        f"  if same_as && ({devices}) then reject;",
        '  if ifname ~ "bpf*.cali" then reject;',
    ]
    for cidr, state in objects.blocks.items():
        if not _is_version(cidr, version) or state not in {"confirmed", ""}:
            continue
        lines.append(f"  if net = {cidr} then accept;")
        if _has_priorities(objects):
            lines.append(
                f"  if net ~ {cidr} && krt_metric < {NORMAL_PRIORITY} then accept;"
            )
        lines.append(f"  if net ~ {cidr} then reject;")
    if objects.cluster_id(objects.node):
        ranges = list(objects.settings.get("serviceLoadBalancerIPs") or ())
        cidrs = [entry["cidr"] for entry in ranges]
        lines += [
            f"  if net ~ {cidr} then accept;"
            for cidr in cidrs
            if _is_version(cidr, version)
        ]
    lines += [
        f"  if net ~ {pool['cidr']} then accept;"
        for pool in _pools(objects, version)
        if not pool.get("disableBGPExport")
    ]
    head = f"function calico_export_to_bgp_peers{version}(bool same_as) {{"
    return "\n".join([head, *lines, "}"])


def _bird_owns(objects: Objects, *, is_ipip: bool) -> bool:
    """Return whether BIRD, and not Felix, programs routes of that kind."""
    release = objects.release
    if release <= (3, 31):
        return True
    default = "Enabled" if release == (3, 32) else "EnabledNoEncapOnly"
    mode = objects.settings.get("programClusterRoutes") or default
    return mode in {"Enabled", "EnabledIPIPOnly" if is_ipip else "EnabledNoEncapOnly"}


def _kernel(objects: Objects, version: int) -> str:
    lines = ["  if source = RTS_DEVICE then reject;"]
    if _has_priorities(objects):
        lines += [
            "  if source = RTS_BGP then {",
            f"    krt_metric = {_MAX_METRIC} - bgp_local_pref;",
            "  }",
        ]
    for pool in _pools(objects, version):
        encapsulations = {pool.get("vxlanMode"), pool.get("ipipMode")} - {None, "Never"}
        if encapsulations or not _bird_owns(objects, is_ipip=False):
            lines.append(f"  if net ~ {pool['cidr']} then reject;")
    body = "\n".join([*lines, "  accept;"])
    return (
        f"filter calico_kernel_programming{version} {{\n{body}\n}}\n"
        f"protocol kernel kernel{version} {{\n"
        # With 0 it is the filter that says the metric, if anybody does.
        "  learn; persist; scan time 2; metric 0;\n"
        "  graceful restart; merge paths on;\n"
        f"  ipv{version} {{ import all;"
        f" export filter calico_kernel_programming{version}; }};\n}}"
    )


def _bgp_filters(objects: Objects, version: int) -> Iterator[str]:
    """Yield a function per BGPFilter and direction, where it has rules."""
    for name, spec in sorted(objects.specs("BGPFilter").items()):
        for direction in ("export", "import"):
            rules = spec.get(f"{direction}V{version}")
            if rules:
                lines = [f"  {_rule(rule, version)}" for rule in rules]
                head = f"function 'bgp_{name}_{direction}V{version}'() {{"
                yield "\n".join([head, *lines, "}"])


def _rule(rule: Object, version: int) -> str:
    conditions = []
    if rule.get("cidr"):
        cidr, longest = str(rule["cidr"]), 32 if version == 4 else 128
        lengths = rule.get("prefixLength")
        if lengths:
            own = ip_network(cidr).prefixlen
            low = max(own, int(lengths.get("min") or own))
            high = min(longest, int(lengths.get("max") or longest))
            cidr = f"[ {cidr}{{{low},{high}}} ]"
        conditions.append(f"net {_OPERATORS[rule['matchOperator']]} {cidr}")
    if rule.get("source") == "RemotePeers":
        conditions.append("source = RTS_BGP")
    if rule.get("interface"):
        conditions.append(f'ifname ~ "{rule["interface"]}"')
    action = str(rule["action"]).lower()
    if not conditions:
        return f"{action};"
    return f"if {' && '.join(f'({text})' for text in conditions)} then {action};"


def _calls(objects: Objects, session: Session, direction: str) -> list[str]:
    specs = objects.specs("BGPFilter")
    field = f"{direction}V{session.version}"
    return [
        f"      'bgp_{name}_{field}'();"
        for name in session.filters
        if specs.get(name, {}).get(field)
    ]


def _protocol(objects: Objects, session: Session) -> str:
    version = session.version
    imports = _calls(objects, session, "import")
    exports = _calls(objects, session, "export")
    if _has_priorities(objects):
        limit = _MAX_METRIC - NORMAL_PRIORITY
        imports.append(f"      if bgp_local_pref > {limit} then preference = 200;")
        exports.insert(0, _PRIORITY.format(normal=NORMAL_PRIORITY, top=_MAX_METRIC))
    internal = str(session.is_internal).lower()
    exports.append(f"      calico_export_to_bgp_peers{version}({internal});")
    next_hop = f"    next hop {session.next_hop};\n" if session.next_hop else ""
    lines = [
        f"  local as {session.local_asn};",
        f"  neighbor {session.addr} port {session.port} as {session.asn};",
        "  connect delay time 2; connect retry time 5; error wait time 5, 30;",
        "  graceful restart on;",
    ]
    if session.source:
        lines.append(f"  source address {session.source};")
    if session.ttl_security:
        lines.append(f"  ttl security on; multihop {session.ttl_security};")
    else:
        lines.append("  multihop;")
    if session.is_passive:
        lines.append("  passive on;")
    if session.restart_time:
        lines.append(f"  graceful restart time {session.restart_time};")
    if session.keepalive_time:
        lines.append(f"  keepalive time {session.keepalive_time};")
    if session.is_client:
        cluster_id = objects.cluster_id(objects.node)
        lines.append(f"  rr client; rr cluster id {cluster_id};")
    head = "\n".join([f"protocol bgp {session.name} {{", *lines])
    imported = "\n".join([*imports, "      accept;"])
    exported = "\n".join([*exports, "      reject;"])
    return (
        f"{head}\n  ipv{version} {{\n    add paths on; gateway recursive;\n{next_hop}"
        f"    import filter {{\n{imported}\n    }};\n"
        f"    export filter {{\n{exported}\n    }};\n  }};\n}}"
    )


_PRIORITY: Final = """\
      if source = RTS_BGP then krt_metric = {top} - bgp_local_pref;
      else {{
        if !defined(krt_metric) then krt_metric = {normal};
        bgp_local_pref = {top} - krt_metric;
      }}"""
