"""The commands of the control socket: what can be seen of a daemon, and done to it.

A view is a function from ``DaemonView`` and arguments to rows: plain data that ``json``
takes, made lazily, and with breaths (``None``) where work is long. The table below is all
there is; the server checks arguments against it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from bgpd.api.protocol import Answer, Arguments, Command, ControlError, Row
from bgpd.daemon.views_common import Actions, DaemonView, ResetKind, find_peer
from bgpd.daemon.views_fib import fib
from bgpd.daemon.views_peers import peers
from bgpd.daemon.views_route import route
from bgpd.daemon.views_routes import routes
from bgpd.daemon.views_status import groups, status

__all__ = ["Actions", "DaemonView", "ResetKind", "commands"]

MAX_TEXT: Final = 255  # octets of UTF-8 for the peer's operator, RFC 9003 2


def commands(view: DaemonView) -> Mapping[str, Command]:
    """Return all commands over one daemon, by name."""

    def over(what: Callable[[DaemonView, Arguments], Answer]) -> partial[Answer]:
        return partial(what, view)

    return {
        "show-peers": Command(
            over(peers), "Sessions, or all about one peer.", {"peer": str}
        ),
        "show-routes": Command(
            over(routes),
            "Routes that are held, received or told.",
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
        "show-route": Command(
            over(route),
            "Why a prefix goes where it goes.",
            {"prefix": str, "lpm": bool},
            required=("prefix",),
        ),
        "show-fib": Command(
            over(fib),
            "Our routes in the kernel's table.",
            {"family": str, "prefix": str, "state": str, "limit": int},
        ),
        "show-groups": Command(
            over(groups), "Update groups: who is told the same.", {"family": str}
        ),
        "show-status": Command(over(status), "The daemon as a whole."),
        "reset": Command(
            over(_reset),
            "Begin anew with a peer.",
            {"peer": str, "kind": str},
            required=("peer",),
            is_change=True,
        ),
        "reload": Command(
            over(_reload), "Read the configuration again.", is_change=True
        ),
        "disable-peer": Command(
            over(_disable),
            "Take a peer down until it is enabled.",
            {"peer": str, "text": str},
            required=("peer",),
            is_change=True,
        ),
        "enable-peer": Command(
            over(_enable),
            "Let a peer come up again.",
            {"peer": str},
            required=("peer",),
            is_change=True,
        ),
    }


def _actions(view: DaemonView) -> Actions:
    if view.actions is None:
        raise ControlError("read-only", "this daemon can only be looked at")
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
            "bad-argument", f"there is no reset {arguments['kind']!r}", kinds
        )
    return _lines(_actions(view).reset(_address(view, arguments), kind))


def _reload(view: DaemonView, _: Arguments) -> Row:
    return _lines(_actions(view).reload())


def _disable(view: DaemonView, arguments: Arguments) -> Row:
    text = arguments.get("text", "")
    if len(text.encode()) > MAX_TEXT:
        raise ControlError(
            "bad-argument", f"text has {MAX_TEXT} octets at most (RFC 9003 2)"
        )
    return _lines(_actions(view).disable(_address(view, arguments), text))


def _enable(view: DaemonView, arguments: Arguments) -> Row:
    return _lines(_actions(view).enable(_address(view, arguments)))
