"""What answers each command of the API (``bgpd.api.commands``).

A view is a function from ``DaemonView`` and arguments to rows: plain data that ``json``
takes, made lazily, and with yield points (``None``) where work is long. What is not valid is an error
before the first row. The arguments are those that the table of commands declares, checked.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from bgpd.api.protocol import Answer, Arguments, ControlError, Handler, Row
from bgpd.show.calico_diff import cluster_diff
from bgpd.show.drain import drain, show_drain, undrain
from bgpd.show.dump import dump
from bgpd.show.errors import errors
from bgpd.show.events import event_counts, events, follow, history
from bgpd.show.fib import fib
from bgpd.show.gone_peers import gone_peers
from bgpd.show.held_removals import confirm, held
from bgpd.show.peers import peer, peers
from bgpd.show.plan import apply, plan, rollback, upload
from bgpd.show.plan import confirm as confirm_applied
from bgpd.show.route import route
from bgpd.show.route_index import route_index
from bgpd.show.routes import route_counts, routes
from bgpd.show.state import (
    Actions,
    DaemonView,
    ResetKind,
    check_text,
    find_peer,
)
from bgpd.show.status import groups, status
from bgpd.show.topology import topology

__all__ = ["Actions", "DaemonView", "ResetKind", "handlers"]


def handlers(view: DaemonView) -> Mapping[str, Handler]:
    """Return what answers commands about one daemon, by their names."""
    return {name: partial(handle, view) for name, handle in _HANDLERS.items()}


def _actions(view: DaemonView) -> Actions:
    if view.actions is None:
        raise ControlError("read-only", "this daemon accepts only read-only commands")
    return view.actions


def _lines(lines: Iterable[str]) -> Row:
    return {"lines": list(lines)}


def _address(view: DaemonView, arguments: Arguments) -> str:
    return find_peer(view.speaker, arguments["peer"]).settings.remote_addr


def _reset(view: DaemonView, arguments: Arguments) -> Row:
    kind = ResetKind(arguments.get("kind", ResetKind.SESSION.value))
    return _lines(_actions(view).reset(_address(view, arguments), kind))


async def _reload(view: DaemonView, arguments: Arguments) -> Row:
    allows_resets = bool(arguments.get("allow_reset"))
    return _lines(await _actions(view).reload(allows_resets=allows_resets))


def _disable(view: DaemonView, arguments: Arguments) -> Row:
    text = check_text(arguments)
    return _lines(_actions(view).disable(_address(view, arguments), text))


def _shutdown(view: DaemonView, arguments: Arguments) -> Row:
    flushes = bool(arguments.get("flush", False))
    return _lines(_actions(view).shut_down(check_text(arguments), flushes=flushes))


def _memory(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    from bgpd.show.memory import memory  # noqa: PLC0415  # seldom asked for

    return memory(view, arguments)


def _enable(view: DaemonView, arguments: Arguments) -> Row:
    return _lines(_actions(view).enable(_address(view, arguments)))


def _capture(view: DaemonView, arguments: Arguments) -> Answer:
    from bgpd.show.capture import capture  # noqa: PLC0415  # ADR 0045: few ever capture

    return capture(view, arguments)


async def _bfd(view: DaemonView, arguments: Arguments) -> Answer:
    from bgpd.show.bfd import bfd  # noqa: PLC0415  # few have it

    return await bfd(view, arguments)


_HANDLERS: Final[
    Mapping[str, Callable[[DaemonView, Arguments], Answer | Awaitable[Answer]]]
] = MappingProxyType(
    {
        "show-status": status,
        "show-peers": peers,
        "show-peer": peer,
        "show-gone-peers": gone_peers,
        "show-routes": routes,
        "count-routes": route_counts,
        "show-route": route,
        "show-fib": fib,
        "show-route-index": route_index,
        "show-topology": topology,
        "show-groups": groups,
        "show-memory": _memory,
        "show-bfd": _bfd,
        "calico-diff": cluster_diff,
        "calico-held": held,
        "calico-confirm": confirm,
        "reset": _reset,
        "disable-peer": _disable,
        "enable-peer": _enable,
        "drain": drain,
        "undrain": undrain,
        "show-drain": show_drain,
        "reload": _reload,
        "plan": plan,
        "upload": upload,
        "apply": apply,
        "confirm": confirm_applied,
        "rollback": rollback,
        "shutdown": _shutdown,
        "show-events": events,
        "show-event-counts": event_counts,
        "follow-events": follow,
        "history": history,
        "show-errors": errors,
        "capture": _capture,
        "dump": dump,
    }
)
