"""One answer as a page for people: a peer, a route's explanation, the daemon's state."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from bgpd.cli.layout import Row
from bgpd.cli.opaque import explain
from bgpd.cli.tables import drained, duration, missing_policy, plain

_INDENT: Final = "  "
_SHOWN_PEERS: Final = 8
_ATTRIBUTES: Final = {
    "next_hop": "next hop",
    "as_path": "AS path",
    "origin": "origin",
    "local_pref": "local preference",
    "med": "MED",
    "communities": "communities",
    "large_communities": "large communities",
    "ext_communities": "extended communities",
    "originator_id": "originator id",
    "cluster_list": "cluster list",
}


def _pairs(pairs: Iterable[tuple[str, object]], depth: int = 0) -> Iterator[str]:
    """Yield ``name: value`` lines, values aligned; what is absent is left out."""
    shown = [(name, plain(value)) for name, value in pairs]
    shown = [(name, text) for name, text in shown if text]
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, text in shown:
        yield f"{_INDENT * depth}{name + ':':<{width}} {text}"


def peer_page(row: Row) -> Iterator[str]:
    """Yield the lines of ``show peers NAME``."""
    yield f"{row['name']}: {row['state']}"
    yield from _pairs(
        [
            ("description", row["description"]),
            ("address", f"{row['address']} port {row['port']}"),
            ("our address", _our_end(row)),
            ("peer's port", row.get("remote_port")),
            (
                "AS",
                f"{row['remote_as'] or row['accepted_as']} (ours {row['local_as']})",
            ),
            ("type", row["peer_type"]),
            ("node", row.get("remote_node")),
            ("range", row["range"]),
            ("router id", row["router_id"]),
            ("host name", row["hostname"]),
            ("enabled", row["is_enabled"]),
            ("disabled by", row.get("disabled_by")),
            ("drained", drained(row) or None),
            ("up", duration(row["uptime"])),
            ("BFD", _bfd(row.get("bfd_session"))),
            ("since", row["since"]),
            ("hold time", f"{row['hold_time']} s"),
            *_connection(row),
            ("import policy", _policy(row, "import")),
            ("export policy", _policy(row, "export")),
            ("times established", row["established_transitions"]),
            ("flaps", row["flaps"]),
            ("last reset", _event(row["last_reset"], row["last_reset_at"])),
            ("last attempt", _event(row["last_attempt"], row["last_attempt_at"])),
            *_notifications(row),
            ("remark", missing_policy(row)),
            ("next try in", duration(row["next_retry"])),
            ("malformed UPDATEs", row["malformed_updates"]),
        ],
        1,
    )
    for family in row["families"]:
        yield f"{_INDENT}{family['family']}:"
        yield from _pairs(
            (
                (name.removeprefix("is_").removeprefix("has_").replace("_", " "), value)
                for name, value in family.items()
                if name != "family"
            ),
            2,
        )
    yield f"{_INDENT}messages (received, sent):"
    yield from _pairs(
        (
            (kind, f"{count['received']} {count['sent']}")
            for kind, count in row["messages"].items()
        ),
        2,
    )
    yield from _section("agreed on", row["negotiated"])
    for side, offered in (row["capabilities"] or {}).items():
        yield from _section(f"capabilities {side}", offered)


def _bfd(row: Row | None) -> str:
    """Return a BFD session in a line."""
    if row is None:
        return ""
    time = row["detection_time"]
    return ", ".join(
        part
        for part in (
            row["state"],
            f"detects within {time} ms" if time else "",
            "the session waits for it" if row["is_waiting"] else "",
            row["reason"],
            f"failures {row['failures']}" if row["failures"] else "",
        )
        if part
    )


def _event(reason: str | None, moment: str | None) -> str:
    return f"{reason}, at {moment}" if reason else ""


def _our_end(row: Row) -> str:
    port = row.get("local_port")
    return (row["local_address"] or "") + (f" port {port}" if port else "")


def _connection(row: Row) -> Iterator[tuple[str, str]]:
    yield "timers", _timers(row.get("timers") or {})
    yield "last received", _ago(row.get("seconds_since_received"))
    yield "last sent", _ago(row.get("seconds_since_sent"))
    yield "round-trip time", _lag(row.get("round_trip_time"))


def _notifications(row: Row) -> Iterator[tuple[str, str]]:
    for way in ("sent", "received"):
        yield f"NOTIFICATION {way}", _notification(row.get(f"last_notification_{way}"))


def _timers(left: Row) -> str:
    """Return how long each timer has left, such as ``hold 1m12s, keepalive 4s``."""
    return ", ".join(
        f"{name.replace('_', ' ')} {duration(seconds)}"
        for name, seconds in left.items()
    )


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} ago"


def _policy(row: Row, way: str) -> str:
    """Return the policy in force; where none is configured, the default for the peer's type."""
    name = row[f"{way}_policy"] or ""
    if not name or not row.get(f"is_default_{way}_policy"):
        return str(name)
    rule = ", RFC 8212" if row["peer_type"] == "ebgp" else ""
    return f"{name} (by default{rule})"


def _notification(row: Row | None) -> str:
    if row is None:
        return ""
    reason = f"; {row['reason']}" if row["reason"] else ""
    return f"{row['name']}{reason}, at {row['at']}"


def _section(title: str, values: Row | None) -> Iterator[str]:
    if values:
        yield f"{_INDENT}{title}:"
        yield from _pairs(
            ((name.replace("_", " "), value) for name, value in values.items()), 2
        )


def _attributes(found: dict[str, Any], depth: int) -> Iterator[str]:
    yield from _pairs(_named(found), depth)


def _named(attributes: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield attributes by the names people read; unknown ones put into words."""
    for name, value in attributes.items():
        shown = explain(value) if name == "unknown" else value
        yield _ATTRIBUTES.get(name, name.replace("_", " ")), shown


def route_page(row: Row) -> Iterator[str]:
    """Yield the lines of ``show route PREFIX``."""
    head = row["prefix"]
    if row["requested"] != head:
        head += f" (requested: {row['requested']})"
    yield f"{head}, {row['family']}"
    yield from _verdict(row)
    for number, path in enumerate(row["paths"], start=1):
        yield ""
        yield f"path {number} of {len(row['paths'])}, from {path['peer']}: {_fate(path)}"
        yield from _path(path)
    for refused in row["filtered"]:
        yield ""
        yield f"filtered, from {refused['peer']}: {refused['reason']}"
        yield from _attributes(refused["attributes"], 1)
    for longer in row.get("more_specific_filtered", ()):
        yield ""
        yield (
            f"more specific, but filtered: {longer['prefix']}, from {longer['peer']}:"
            f" {longer['reason']}"
        )
    yield from _audience("advertised to", row["advertised"])
    yield from _audience("not advertised to", row["not_advertised"])
    yield ""
    yield f"kernel: {_kernel(row['fib']) if row['uses_kernel'] else 'not used'}"


def _verdict(row: Row) -> Iterator[str]:
    if row["best"] is None:
        yield "no path is usable"
    elif len(row["multipath"]) > 1:
        yield f"selected: {row['best']}; used together: {', '.join(row['multipath'])}"
    else:
        yield f"selected: {row['best']}"


def _fate(path: Row) -> str:
    fate = "selected" if path["is_best"] else f"not selected: {path['reason']}"
    if path["is_multipath"] and not path["is_best"]:
        fate += ", but used with it (ECMP)"
    return fate + (", stale" if path["is_stale"] else "")


def _way(next_hop: Row) -> str:
    """Say which routes of BGP lead to a next hop, or that they lead back to it."""
    if loop := next_hop.get("resolution_loop"):
        return f": {loop} leads back to it, and nothing else leads there"
    through = next_hop.get("resolved_through")
    if not through:
        return ""
    hops = (
        " ".join(
            part
            for part in (
                f"via {hop['gateway']}" if hop["gateway"] else "",
                f"dev {hop['interface']}" if hop["interface"] else "",
            )
            if part
        )
        for hop in next_hop["hops"]
    )
    return f", by {', '.join(through)}: {'; '.join(hops)}"


def _since(path: Row) -> str:
    if path["changed_is_exact"]:
        return f"{path['changed']}, for {duration(path['age'])}"
    return f"{path['changed']} or later, for {duration(path['age'])} at most"


def _path(path: Row) -> Iterator[str]:
    next_hop = path["next_hop"]
    if next_hop["address"]:
        state = "reachable" if next_hop["is_reachable"] else "UNREACHABLE"
        metric = f", metric {next_hop['metric']}" if next_hop["metric"] else ""
        way = f"{next_hop['address']} {state}{metric}{_way(next_hop)}"
    else:
        way = "this node"
    attributes = {k: v for k, v in path["attributes"].items() if k != "next_hop"}
    yield from _pairs(
        [
            ("next hop", way),
            ("since", _since(path)),
            ("weight", path["weight"] or None),
            ("path id", path["path_id"] or None),
            *_named(attributes),
        ],
        1,
    )
    received = path["pre_policy_attributes"]
    if received is not None:
        yield f"{_INDENT}before import policy:"
        now = path["attributes"]
        names = dict.fromkeys((*received, *now))
        changed = {
            n: received.get(n, "absent") for n in names if _differs(received, now, n)
        }
        yield from _attributes(changed, 2)


def _differs(one: Row, other: Row, name: str) -> bool:
    return bool(one.get(name) != other.get(name))


def _audience(title: str, answers: list[Row]) -> Iterator[str]:
    for answer in answers:
        names = answer["peers"]
        shown = ", ".join(names[:_SHOWN_PEERS])
        if len(names) > _SHOWN_PEERS:
            shown += f" and {len(names) - _SHOWN_PEERS} more"
        yield ""
        yield f"{title} {shown} ({answer['peer_type']}), path from {answer['from']}"
        if "reason" in answer:
            yield f"{_INDENT}because {answer['reason']}"
        else:
            yield from _attributes(answer["attributes"], 1)


def _kernel(row: Row | None) -> str:
    if row is None:
        return "no route of this daemon"
    way = row["kind"]
    if row["hops"]:
        way = "via " + ", ".join(plain(hop["gateway"]) for hop in row["hops"])
    fault = f": {row['error']}" if row["error"] else ""
    return f"{way}, {row['state']}{fault}"


def status_page(row: Row) -> Iterator[str]:
    """Yield the lines of ``show status``."""
    if not row.get("is_started", True):
        yield from _starting_page(row)
        return
    peers = row["peers"]
    yield f"pybgpd {row['version']}, up {duration(row['uptime'])}"
    yield from _pairs(
        [
            ("node", row["node"]),
            ("AS", row["as"]),
            ("router id", row["router_id"]),
            ("cluster id", row["cluster_id"]),
            ("started", row["started_at"]),
            ("runs on", f"Python {row['python']}, {row['event_loop']}, {row['build']}"),
            ("memory", _mebibytes(row["memory"])),
            ("loop lag", _lag(row["loop_lag"])),
            (
                "listening on",
                ", ".join(f"{a['address']} port {a['port']}" for a in row["listening"])
                or "nothing",
            ),
            ("rejected connections", row["rejected_connections"]),
            ("peers", f"{peers['established']} of {peers['total']} established"),
            *(
                (f"range {r['prefix']}", f"{r['peers']} of {r['limit']} peers")
                for r in row["ranges"]
            ),
            *((family["family"], _table_size(family)) for family in row["families"]),
            ("selection deferral", _optional(row.get("selection_deferral"), _recovery)),
            ("drained", _optional(row.get("drain"), _drained)),
            ("background jobs", row["background_jobs"]),
            ("kernel", _optional(row["fib"], _fib) or "not used"),
            ("datastore", _optional(row["datastore"], _datastore) or "none"),
            ("nodes", _optional((row["datastore"] or {}).get("nodes"), _nodes_read)),
            *(("removal hold", _held(hold)) for hold in row.get("removal_holds", ())),
            ("kubernetes", _optional(row.get("kubernetes"), _kubernetes) or "none"),
        ],
        1,
    )
    yield from _warnings(row)


def _drained(drain: Row) -> str:
    count = drain["peers"]
    some = "1 peer" if count == 1 else f"{count} peers"
    which = "all peers" if drain["all"] else some
    shut = f", {drain['shut_down']} of them shut down" if drain["shut_down"] else ""
    return f"{which}{shut}, by {' and '.join(drain['by'])} since {drain['since']}"


def _starting_page(row: Row) -> Iterator[str]:
    """Yield what is known of a daemon that waits for something before it begins."""
    yield f"pybgpd {row['version']}, starting for {duration(row['uptime'])}"
    yield from _pairs(
        [
            ("waiting for", row["awaited"]),
            ("node", row["node"]),
            ("started", row["started_at"]),
            ("files", (row["configuration"] or {}).get("files")),
            ("runs on", f"Python {row['python']}, {row['event_loop']}, {row['build']}"),
            ("memory", _mebibytes(row["memory"])),
            ("datastore", _optional(row["datastore"], _datastore) or "none"),
            ("kubernetes", _optional(row.get("kubernetes"), _kubernetes) or "none"),
        ],
        1,
    )
    yield from _warnings(row)


def _warnings(row: Row) -> Iterator[str]:
    warnings = [*row["warnings"], *(row["datastore"] or {}).get("warnings", ())]
    if warnings:
        yield f"{_INDENT}warnings:"
        yield from (f"{_INDENT * 2}{warning}" for warning in warnings)


def _table_size(row: Row) -> str:
    return (
        f"{row['prefixes']} prefixes, {row['paths']} paths, "
        f"{row['update_groups']} update groups, {row['pending']} pending"
    )


def _mebibytes(octets: int | None) -> str:
    return "" if octets is None else f"{octets / (1 << 20):.0f} MiB"


def _lag(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _optional(row: Row | None, text: Callable[[Row], str]) -> str:
    return "" if row is None else text(row)


def _recovery(row: Row) -> str:
    what = "routes and End-of-RIB" if row["defers_routes"] else "End-of-RIB"
    names = ", ".join(row["awaited"])
    more = row["awaited_count"] - len(row["awaited"])
    names += f" and {more} more" if more else ""
    return (
        f"not over after {row['elapsed']:.0f} of at most {row['limit']:.0f} s: "
        f"{what} of {' '.join(row['defers_end_of_rib'])} held back"
        + (f", waiting for {names}" if names else "")
    )


def _fib(row: Row) -> str:
    shown = f"{row['installed']} of {row['wanted']} routes installed"
    for name in ("pending", "failed", "conflicts", "stale", "drifts"):
        if row[name]:
            shown += f", {row[name]} {name}"
    return shown


def _kubernetes(row: Row) -> str:
    if not row["source"]:
        return f"not used: {row['last_error']}"
    state = "connected" if row["is_connected"] else "not connected"
    trouble = "" if row["is_connected"] else f": {row['last_error'] or 'no answer yet'}"
    return f"{state} by {row['source']}{trouble}"


def _held(row: Row) -> str:
    what = f"{row['objects']} objects that {row['source']} no longer has"
    return f"{what}, until {row['until']}"


def _nodes_read(row: Row) -> str:
    shown = "all are read"
    if row["reason"]:
        shown += f": {row['reason']}"
    elif row["scope"] == "needed":
        found = [*row["names"], *row["selectors"]]
        shown = f"the needed ones are read: {', '.join(found)}"
    if row["is_pending"]:
        shown += "; others are needed now and are being read"
    return shown + (f"; checked at {row['checked_at']}" if row["checked_at"] else "")


def _datastore(row: Row) -> str:
    state = "connected" if row["is_connected"] else "NOT CONNECTED"
    shown = f"{row['kind']} {row['source']} {state} since {row['since']}"
    shown += f", revision {row['applied_revision']}"
    if row["lag_revisions"]:
        shown += f" ({row['lag_revisions']} not applied yet)"
    if row["saved_at"]:
        shown += f", in force: the state saved at {row['saved_at']}"
    return shown + (f", last error: {row['last_error']}" if row["last_error"] else "")
