"""birdwatcher's answers, for Alice-LG: what that program makes of BIRD's answers, made here at once.

    /birdwatcher/status                      {"api": ..., "status": {...}}
    /birdwatcher/protocols/bgp               {"api": ..., "protocols": {"rr_1": {...}}}
    /birdwatcher/routes/protocol/rr_1        {"api": ..., "routes": [...]}

birdwatcher turns each path into a command of BIRD, and the lines of the answer into JSON. The paths
below have the same commands (``bgpd.show.bird``); protocols are read from the lines as there,
routes are taken from the tables. Errors are objects with ``error``, and no error of HTTP.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from bgpd import __version__
from bgpd.api.bird import Line, Session
from bgpd.api.birdwatcher import ROUTES
from bgpd.show.bird import dialect
from bgpd.show.bird.commands import BirdCommands, query_of, symbols
from bgpd.show.bird.route_lines import attribute_texts, route_type
from bgpd.show.bird.routes import Found, Selection, selections_of
from bgpd.show.bird.tokens import QueryError
from bgpd.show.bird.vocabulary import (
    RouteLike,
    destination_of,
    ext_community_of,
    preference_of,
    protocol_of,
)
from bgpd.show.state import DaemonView
from bgpd.texts.moments import utc
from rib.nlri import format_address, format_prefix
from rib.path_set import best_of

_MAX_NAME: Final = 80
_PROTOCOL_ROW: Final = 1002  # BIRD's code
_NAME: Final = re.compile(r"[\w:.-]{1,80}", re.ASCII)
_NET: Final = re.compile(r"[0-9a-fA-F.:/]{1,80}")
_OF_NETS: Final = frozenset({"peer", "net", "mask", "prefix", "address"})

Pieces = Iterator[bytes | None]
Arguments = Mapping[str, str]


class _WrongError(Exception):
    """The request is wrong; the text says how."""


def answer(view: DaemonView, path: str, arguments: Arguments) -> Pieces:
    """Yield an answer in pieces; ``None`` is a yield point.

    Args:
        view: The daemon.
        path: One of ``bgpd.api.birdwatcher``, without its prefix.
        arguments: Of the path and of the query.
    """
    try:
        other = _OTHERS.get(path)
        if other is None:
            yield from _routes(view, ROUTES[path], arguments)
        else:
            key, make = other
            value: Any = None
            for made in make(view):
                value = made
                yield None
            yield _head(key) + json.dumps(value).encode() + b"}\n"
    except (_WrongError, QueryError) as error:
        text = error.text if isinstance(error, QueryError) else str(error)
        yield f"{json.dumps({'error': text})}\n".encode()


def _head(key: str) -> bytes:
    """Return the beginning of an answer: what birdwatcher says of its cache."""
    now = utc(time.time())
    known = {
        "Version": f"pybgpd {__version__}",
        "result_from_cache": False,
        "cache_status": {
            "cached_at": {"date": now, "timezone_type": "UTC", "timezone": "UTC"}
        },
    }
    head = {"api": known, "cached_at": now, "ttl": now}
    return f'{json.dumps(head)[:-1]}, "{key}": '.encode()


# -- routes -------------------------------------------------------------------------------


def _routes(view: DaemonView, template: str, arguments: Arguments) -> Pieces:
    command = _command(template, arguments)
    form = dialect.second()
    query = query_of(command, form)
    selections = selections_of(view, form, query)
    yield None
    if query.is_count:
        total = 0
        for selection in selections:
            for found in _all(selection):
                total += 0 if found is None else selection.count(found)
                yield None
        yield _head("routes") + f"{total}}}\n".encode()
        return
    before = _head("routes") + b"["
    is_any = False
    for selection in selections:
        yield from selection.prepare()
        for found in selection.chosen():
            if found is None:
                yield None
                continue
            for route in _rows(selection, found):
                yield before + json.dumps(route).encode()
                before, is_any = b",\n", True
    yield b"]}\n" if is_any else before + b"]}\n"


def _all(selection: Selection) -> Iterator[Found | None]:
    yield from selection.prepare()
    yield from selection.all_found()


def _command(template: str, arguments: Arguments) -> str:
    """Return the command of a path.

    Raises:
        _WrongError: An argument is missing, or has other characters than a name or an address.
    """
    if "pipe" in template and "protocol" in arguments:
        template = template.replace(" all", " protocol '{protocol}' all")
    filled = {}
    for name in re.findall(r"\{(\w+)\}", template):
        if name not in arguments:
            raise _WrongError(f"need a {name} as single query parameter")
        text = arguments[name]
        if len(text) > _MAX_NAME:
            raise _WrongError("Provided param value is too long.")
        if not (_NET if name in _OF_NETS else _NAME).fullmatch(text):
            raise _WrongError("Invalid character in param value")
        filled[name] = text
    return template.format(**filled)


def _rows(selection: Selection, found: Found) -> Iterator[dict[str, object]]:
    network = format_prefix(found.nlri, selection.family.afi)
    best = best_of(found.entry)
    for route in found.routes:
        hop, source = route.next_hop, route.source
        row: dict[str, object] = {
            "network": network,
            "from_protocol": protocol_of(source),
            "age": selection.age_of(route),
            "learnt_from": "",
            "primary": route is best,
            "metric": preference_of(route),
            "type": route_type(route, dialect.second()).split(" "),
        }
        if source.address and source.address != hop.address:
            row["learnt_from"] = format_address(source.address)
        if destination_of(route) == "unicast":
            row["gateway"] = format_address(hop.address) if hop.address else ""
            row["interface"] = hop.interface or "-"
        if bgp := _bgp(route):
            row["bgp"] = bgp
        yield row


def _bgp(route: RouteLike) -> dict[str, object]:
    attributes = route.attributes
    found: dict[str, object] = dict(attribute_texts(route))
    if not found:
        return found
    if as_path := found.pop("as_path", ""):
        found["as_path"] = str(as_path).split(" ")
    lists = {
        "communities": [[c >> 16, c & 0xFFFF] for c in attributes.communities],
        "large_communities": [list(each) for each in attributes.large_communities],
        "ext_communities": [
            list(ext_community_of(each)) for each in attributes.ext_communities
        ],
    }
    for name in ("community", "large_community", "ext_community"):
        found.pop(name, None)
    return found | {name: value for name, value in lists.items() if value}


# -- all else -----------------------------------------------------------------------------

# As in birdwatcher: what a line is, is tried in this order.
_CHANNEL: Final = re.compile(r"Channel (.*)")
_COUNTS: Final = re.compile(r"\s+Routes:\s+(.*)")
_CHANGES: Final = re.compile(
    r"\s*(Import|Export) (updates|withdraws):\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*"
)
_VALUE: Final = re.compile(r"\s+([^:]+):\s+(.+?)\s*")
_COLUMNS: Final = ("received", "rejected", "filtered", "ignored", "accepted")


_ROW: Final = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+ \S+)\s*(.*)")
_STATUS: Final = (
    ("version", re.compile(r"BIRD (.+)")),
    ("router_id", re.compile(r"Router ID is (.+)")),
    ("current_server", re.compile(r"Current server time is (.+)")),
    ("last_reboot", re.compile(r"Last reboot on (.+)")),
    ("last_reconfig", re.compile(r"Last reconfiguration on (.+)")),
    ("message", re.compile(r"(.+)")),
)
Value = Iterator[object]  # the last one is the answer, those before are yield points


def _lines(view: DaemonView, command: str) -> Iterator[Line | None]:
    commands = BirdCommands(view, dialect.second(), is_read_only=True)
    for line in commands.answer(command, Session()):
        yield line if isinstance(line, Line) else None


def _status(view: DaemonView) -> Value:
    found: dict[str, str] = {}
    for line in _lines(view, "show status"):
        if line is None:
            continue
        # As birdwatcher does: the last line that is nothing else is the message.
        for name, shape in _STATUS:
            if match := shape.fullmatch(line.text):
                found[name] = match[1]
                break
    yield found


def _protocols(view: DaemonView) -> Value:
    found: dict[str, dict[str, Any]] = {}
    row: re.Match[str] | None = None
    lines: list[str] = []
    for line in _lines(view, "show protocols all"):
        if line is None:
            yield None
        elif line.code == _PROTOCOL_ROW:
            row, lines = _ROW.fullmatch(line.text), []
        elif row is not None and not line.text:
            found[row[1]] = _protocol(lines, row)
            row = None
            yield None
        else:
            lines.append(line.text)
    yield found


def _sessions(view: DaemonView) -> Value:
    found: object = None
    for made in _protocols(view):
        found = made
        yield None
    if isinstance(found, dict):
        yield {k: v for k, v in found.items() if v["bird_protocol"] == "BGP"}


def _short(view: DaemonView) -> Value:
    found: dict[str, dict[str, str]] = {}
    for line in _lines(view, "show protocols"):
        if line is None:
            yield None
        elif line.code == _PROTOCOL_ROW and (row := _ROW.fullmatch(line.text)):
            names = ("proto", "table", "state", "since", "info")
            found[row[1]] = dict(zip(names, row.groups()[1:], strict=True))
    yield found


def _symbols(view: DaemonView) -> Value:
    found: dict[str, list[str]] = {}
    for name, kind in symbols(view, dialect.second()):
        found.setdefault(kind, []).append(name)
    yield found


def _symbols_of(kind: str) -> Callable[[DaemonView], Value]:
    def make(view: DaemonView) -> Value:
        yield [name for name, its in symbols(view, dialect.second()) if its == kind]

    return make


_OTHERS: Final[Mapping[str, tuple[str, Callable[[DaemonView], Value]]]] = {
    "/status": ("status", _status),
    "/protocols": ("protocols", _protocols),
    "/protocols/bgp": ("protocols", _sessions),
    "/protocols/short": ("protocols", _short),
    "/symbols": ("symbols", _symbols),
    "/symbols/tables": ("symbols", _symbols_of("routing table")),
    "/symbols/protocols": ("symbols", _symbols_of("protocol")),
}


def _protocol(lines: list[str], row: re.Match[str]) -> dict[str, Any]:
    """Return what birdwatcher makes of the lines about a protocol."""
    made: dict[str, Any] = {
        "protocol": row[1],
        "bird_protocol": row[2],
        "table": row[3],
        "state": row[4],
        "state_changed": row[5],
        "connection": row[6].rstrip(),
    }
    channels: dict[str, dict[str, Any]] = {}
    changes: dict[str, dict[str, int]] = {}
    totals: dict[str, int] = {}
    channel: dict[str, Any] = {}
    for line in lines:
        if match := _COUNTS.fullmatch(line):
            counts = [each.split() for each in match[1].split(",")]
            channel["routes"] = {name: int(number) for number, name in counts}
            for name, number in channel["routes"].items():
                totals[name] = totals.get(name, 0) + number
        elif match := _CHANNEL.search(line):
            channel = channels[match[1]] = {}
        elif match := _CHANGES.fullmatch(line):
            key = f"{match[1].lower()}_{match[2]}"
            changes[key] = {
                name: int(number)
                for name, number in zip(_COLUMNS, match.groups()[2:], strict=True)
                if number != "---"
            }
        elif match := _VALUE.fullmatch(line):
            key = re.sub(r"\s+", "_", match[1]).lower()
            made[key] = int(match[2]) if match[2].isdigit() else match[2]
    made |= {"channels": channels, "routes": totals, "route_changes": changes}
    return made
