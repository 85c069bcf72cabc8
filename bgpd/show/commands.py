"""The commands of the control socket.

A view is a function from ``DaemonView`` and arguments to rows: plain data that ``json``
takes, made lazily, and with yield points (``None``) where work is long. The table below is all
there is; the server checks arguments against it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.api.protocol import Answer, Arguments, Command, ControlError, Row
from bgpd.show.calico_diff import cluster_diff
from bgpd.show.fib import fib
from bgpd.show.held_removals import confirm, held
from bgpd.show.peers import peers
from bgpd.show.route import route
from bgpd.show.routes import routes
from bgpd.show.state import Actions, DaemonView, ResetKind, find_peer
from bgpd.show.status import groups, status

__all__ = ["Actions", "DaemonView", "ResetKind", "commands"]

MAX_TEXT: Final = 255  # octets of UTF-8 for the peer's operator, RFC 9003 2


class _Row(NamedTuple):
    """A command before it is bound to a daemon; the fields are those of ``Command``."""

    handle: Callable[[DaemonView, Arguments], Answer | Awaitable[Answer]]
    help: str
    arguments: Mapping[str, type] = MappingProxyType({})
    required: tuple[str, ...] = ()
    is_change: bool = False


def commands(view: DaemonView) -> Mapping[str, Command]:
    """Return all commands over one daemon, by name."""
    return {
        name: Command(
            partial(row.handle, view),
            row.help,
            row.arguments,
            row.required,
            row.is_change,
        )
        for name, row in _TABLE.items()
    }


def _actions(view: DaemonView) -> Actions:
    if view.actions is None:
        raise ControlError("read-only", "this daemon accepts only read-only commands")
    return view.actions


def _lines(lines: Iterable[str]) -> Row:
    return {"lines": list(lines)}


def _address(view: DaemonView, arguments: Arguments) -> str:
    return find_peer(view.speaker, arguments["peer"]).settings.remote_addr


def _reset(view: DaemonView, arguments: Arguments) -> Row:
    kinds = {kind.value: kind for kind in ResetKind}
    kind = kinds.get(arguments.get("kind", ResetKind.SESSION.value))
    if kind is None:
        raise ControlError(
            "bad-argument", f"unknown kind of reset {arguments['kind']!r}", kinds
        )
    return _lines(_actions(view).reset(_address(view, arguments), kind))


async def _reload(view: DaemonView, _: Arguments) -> Row:
    return _lines(await _actions(view).reload())


def _text(arguments: Arguments) -> str:
    text = str(arguments.get("text", ""))
    if len(text.encode()) > MAX_TEXT:
        raise ControlError(
            "bad-argument", f"text can have at most {MAX_TEXT} octets (RFC 9003 2)"
        )
    return text


def _disable(view: DaemonView, arguments: Arguments) -> Row:
    text = _text(arguments)
    return _lines(_actions(view).disable(_address(view, arguments), text))


def _shutdown(view: DaemonView, arguments: Arguments) -> Row:
    flushes = bool(arguments.get("flush", False))
    return _lines(_actions(view).shut_down(_text(arguments), flushes=flushes))


def _enable(view: DaemonView, arguments: Arguments) -> Row:
    return _lines(_actions(view).enable(_address(view, arguments)))


_PEER: Final = ("peer",)
_TABLE: Final[Mapping[str, _Row]] = MappingProxyType(
    {
        "show-peers": _Row(
            peers, "Sessions, or everything about one peer.", {"peer": str}
        ),
        "show-routes": _Row(
            routes,
            "Routes in Loc-RIB, received from a peer or advertised to one.",
            {
                "family": str,
                "prefix": str,
                "longer": bool,
                "peer": str,
                "received-from": str,
                "advertised-to": str,
                "best": bool,
                "limit": int,
            },
        ),
        "show-route": _Row(
            route,
            "The paths of a prefix, and why the best one was chosen.",
            {"prefix": str, "lpm": bool},
            ("prefix",),
        ),
        "show-fib": _Row(
            fib,
            "Our routes in the kernel's table.",
            {"family": str, "prefix": str, "state": str, "limit": int},
        ),
        "show-groups": _Row(
            groups, "Update groups: peers that get the same UPDATEs.", {"family": str}
        ),
        "show-status": _Row(status, "The daemon as a whole."),
        "calico-diff": _Row(
            cluster_diff,
            "What the datastore wants of this node, compared with what runs.",
            {"all": bool},
        ),
        "calico-held": _Row(held, "Objects whose implausible removal is held."),
        "calico-confirm": _Row(
            confirm, "Apply the removals that are held.", is_change=True
        ),
        "reset": _Row(
            _reset,
            "Reset a peer: the session, or one direction of its routes.",
            {"peer": str, "kind": str},
            _PEER,
            is_change=True,
        ),
        "reload": _Row(_reload, "Read the configuration again.", is_change=True),
        "disable-peer": _Row(
            _disable,
            "Shut down the session with a peer until the peer is enabled.",
            {"peer": str, "text": str},
            _PEER,
            is_change=True,
        ),
        "enable-peer": _Row(
            _enable, "Enable a peer again.", {"peer": str}, _PEER, is_change=True
        ),
        "shutdown": _Row(
            _shutdown,
            "Stop the daemon for good; peers drop its routes.",
            {"flush": bool, "text": str},
            is_change=True,
        ),
    }
)
