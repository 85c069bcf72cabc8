"""Loggers have one name and one spelling, and a log call says in fields what it is about."""

import ast
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import pytest

from tests.support.log_calls import (
    MODULES,
    PLACEHOLDER,
    ROOT,
    LogCall,
    UnreadableError,
    calls_of,
    log_calls,
)
from tests.support.log_events_page import FIELDS, FRAME

LOGGER: Final = re.compile(r"_log(?:ger)?", re.IGNORECASE)
# Not ours to name: the root logger's handlers, and libraries that are set to log less.
FOREIGN: Final = frozenset({"", "httpx2"})
EVENT: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

# A text or the code around a call that is about something needs one of these fields.
PEER: Final = frozenset({"peer", "address", "addresses"})
ABOUT: Final = MappingProxyType(
    {
        r"\b(?:peer|session|neighbour|connection from)\b": PEER,
        r"\broutes?\b|\bprefix(?:es)?\b": frozenset(
            {"family", "prefix", "next_hop", "peer", "local_address", "table"}
        ),
        r"\bnext hop\b": frozenset({"next_hop", "local_address"}),
        r"\bcannot (?:read|write|save)\b|\binotify\b": frozenset({"file"}),
        r"\bkernel\b": frozenset({"table", "family"}),
        r"\bnode\b": frozenset({"node"}),
        r"\bpolicy\b": frozenset({"policy"}),
        r"^datastore|^etcd|^kubernetes": frozenset({"source", "file", "key", "kind"}),
    }
)
# Code that knows which peer it deals with.
KNOWS_PEER: Final = re.compile(
    r"peer_fields\(|\bPeerSettings\b|\bpeer\.settings\b|self\.settings\.(?:name|remote_addr)"
    r"|self\._session\.settings|\bremote\b|\.remote_addr\b|source\.name"
)
# Calls that the rules above find, though they are about no single peer.
EXEMPT: Final = MappingProxyType(
    {
        "kernel-routes-unreadable": "of all tables and families",
        "local-addresses-unknown": "asked of the kernel, in no file",
        "not-originated": "the source is our own, no peer",
        "peer-routes-unwatched": "those to all peers",
        "redistribution-failed": "of all tables and families",
    }
)


def strays(tree: ast.Module) -> Iterator[str]:
    """Yield what names a logger otherwise, or calls something else a logger."""
    loggers = 0
    for node in ast.walk(tree):
        match node:
            case (
                ast.Import(names=names) | ast.ImportFrom(module="logging", names=names)
            ):
                found = [
                    each for each in names if each.name in ("logging", "getLogger")
                ]
                if isinstance(node, ast.ImportFrom) or any(
                    each.asname for each in found
                ):
                    yield from (f"imports {each.name}" for each in found)
            case ast.Assign(targets=[target], value=value) if _is_ours(value):
                loggers += 1
                if node not in tree.body or ast.unparse(target) != "_log":
                    yield f"calls a logger {ast.unparse(target)}"
            case ast.Assign(targets=targets):
                yield from (name for each in targets for name in _like_a_logger(each))
            case ast.AnnAssign(target=target, value=value):
                if value is not None and _is_ours(value):
                    yield f"calls a logger {ast.unparse(target)}"
                yield from _like_a_logger(target)
            case ast.arg(arg=name) if LOGGER.fullmatch(name):
                yield f"hands around {name}"
            case ast.Call(func=ast.Attribute(attr="getLogger" | "getChild"), args=args):
                name = ast.unparse(args[0]) if args else ""
                if name.strip("'\"") not in FOREIGN | {"__name__"}:
                    yield f"names a logger {name}"
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="logging"),
                    attr="debug" | "info" | "warning" | "error" | "critical" | "log",
                )
            ):
                yield "logs to the root"
            case _:
                pass
    if loggers > 1:
        yield "has several loggers"


def _is_ours(value: ast.expr) -> bool:
    return ast.unparse(value) == "logging.getLogger(__name__)"


def _like_a_logger(target: ast.expr) -> Iterator[str]:
    name = ast.unparse(target).removeprefix("self.")
    if LOGGER.fullmatch(name):
        yield f"calls something {name}"


def test_loggers_are_spelled_and_named_in_one_way() -> None:
    codes = {path: path.read_text(encoding="utf-8") for path in MODULES}
    trees = {
        path: ast.parse(code)
        for path, code in codes.items()
        if re.search(r"logging|_log\b", code, re.IGNORECASE)
    }
    found = {
        f"{path.relative_to(ROOT)}: {stray}"
        for path, tree in trees.items()
        for stray in strays(tree)
    }
    assert found == set()
    logging = {path for path, code in codes.items() if "_log." in code}
    assert len(logging) > 50


@pytest.mark.parametrize(
    "text",
    [
        '_log = logging.getLogger("pybgpd.fib")',
        "_LOG: Final = logging.getLogger(__name__)",
        "log = logging.getLogger(__name__)",
        "LOG: Final = logging.getLogger(__name__)",
        "_log = logging.getLogger(__name__ + '.x')",
        "def f():\n    _log = logging.getLogger(__name__)",
        "self._log = WarningLog()",
        "def f(_log): pass",
        "logging.warning('x')",
        "from logging import getLogger",
        "import logging as l",
        "_log = logging.getLogger(__name__)\n_log = logging.getLogger(__name__)",
        "_log = logging.getLogger(__name__).getChild('x')",
    ],
)
def test_another_way_is_found(text: str) -> None:
    assert [*strays(ast.parse(text))]


def faults_of(call: LogCall) -> Iterator[str]:
    """Yield what is wrong with a call."""
    known = {*FIELDS}
    if call.shown - call.fields.keys():
        yield f"has no field for {sorted(call.shown - call.fields.keys())}"
    for text in call.texts:
        if any(found[1] is None and found[0] != "%%" for found in _places(text)):
            yield "has a place without a name"
    yield from (f"has the undocumented {name}" for name in call.fields.keys() - known)
    yield from (
        f"says similar by {n}" for n in {*call.similar} - {*call.fields, "event"}
    )
    yield from (f"has the event {e}" for e in call.events if not EVENT.fullmatch(e))
    if set(call.events) & EXEMPT.keys():
        return
    if KNOWS_PEER.search(call.scope) and not PEER & call.fields.keys():
        yield "knows the peer and does not say so"
    for text in call.texts:
        plain = PLACEHOLDER.sub("", text)
        for pattern, needed in ABOUT.items():
            if re.search(pattern, plain) and not needed & call.fields.keys():
                yield f"is about {re.search(pattern, plain)} without {sorted(needed)}"


def _places(text: str) -> Iterator[re.Match[str]]:
    return PLACEHOLDER.finditer(text)


def test_every_call_names_its_values() -> None:
    found = {
        f"{call.place} {fault}" for call in log_calls() for fault in faults_of(call)
    }
    assert found == set()
    assert len(log_calls()) > 90
    assert {*EXEMPT} <= {event for call in log_calls() for event in call.events}


def test_every_field_is_used_and_none_is_taken_twice() -> None:
    used = {name for call in log_calls() for name in call.fields}
    assert {*FIELDS} <= used
    assert not {*FIELDS} & {*FRAME}


@pytest.mark.parametrize(
    "code",
    [
        '_log.warning("%s is down", peer)',
        '_log.warning("it is down")',
        '_log.warning(f"{peer} is down", {"event": "x"})',
        '_log.warning("down", {"peer": peer, "event": "x"})',
        '_log.warning("down", {"event": name, "peer": peer})',
        '_log.warning("down", values)',
        '_log.warning("down", {"event": "x", **values})',
        '_log.warning("down", {"event": "x"}, extra=alike(peer))',
        '_log.warning("down", {"event": "x"}, extra=extra)',
        '_log.warning("%(peer)s is down", {"event": "x"})',
        '_log.warning("%(peer)s of %s", {"event": "x", "peer": peer})',
        '_log.warning("down", {"event": "x", "unheard_of": 1})',
        '_log.warning("down", {"event": "Not Stable"})',
        '_log.warning("down", {"event": "x"}, extra=alike("peer"))',
        '_log.warning("the peer is down", {"event": "x"})',
        '_log.warning("the session ended", {"event": "x", "reason": why})',
        '_log.warning("%(reason)s", {"event": "x", "reason": peer.settings.name})',
        '_log.warning("cannot read it", {"event": "x", "reason": why})',
        '_log.warning("kernel table is full", {"event": "x", "reason": why})',
        '_log.warning("datastore: %(reason)s", {"event": "x", "reason": why})',
        '_log.warning("3 routes are unusable", {"event": "x", "count": 3})',
        '_log.log(level, "the peer is down", {"event": "x"})',
    ],
)
def test_a_call_that_hides_its_values_is_found(code: str) -> None:
    module = f"def f(peer):\n    {code}\n"
    try:
        calls = [*calls_of(module, "bgpd/x.py")]
    except UnreadableError:
        return
    assert [fault for call in calls for fault in faults_of(call)]


def test_a_call_with_its_values_is_right() -> None:
    module = """
_TEXT: Final = "%(peer)s (%(address)s): %(count)d of 100 %% of %(family)s: %(reason)s"

def f(self, event):
    _log.log(
        logging.INFO if a else logging.WARNING,
        _TEXT if b else "%(peer)s: %(reason)s",
        {
            "event": "session-up" if a else "session-down",
            **peer_fields(self.settings),
            "count": 5,
            "family": family,
            "reason": event.reason,
        },
        extra=alike("peer", "family reason"),
    )
"""
    [call] = calls_of(module, "bgpd/x.py")
    assert [*faults_of(call)] == []
    assert call.levels == ("info", "warning")
    assert call.events == ("session-up", "session-down")
    assert call.similar == ("peer", "family", "reason")
    assert [*call.fields] == ["peer", "address", "count", "family", "reason"]
    assert call.place == "bgpd/x.py:5"
