"""``calico diff``: compares what the datastore wants of this node with what runs.

What is level-triggered can be checked at any time: every row is one thing that the
datastore wants, or that runs without being wanted, with both sides. The first row says how
old the datastore's side is; without ``all`` it is left out where that is new.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.session.settings import PeerSettings
from bgpd.show.state import STATE_NAMES, DaemonView, dotted
from bgpd.speaker.peer import Peer
from fib.kernel_policy import KernelPolicy
from fib.routes import RouteState
from rib.family import Family
from rib.nlri import Nlri, format_prefix
from rib.path_set import best_of, paths_of

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired

SAME, DIFFERS, MISSING, EXTRA = "same", "differs", "missing", "extra"
STALE, HELD = "stale", "held"
_SECRET: Final = frozenset({"password"})


def cluster_diff(view: DaemonView, arguments: Arguments) -> Iterator[Row]:
    """Return a row for each difference; with argument ``all``, for each thing compared.

    The first is that of the datastore itself, ``stale`` while it is not connected.

    Raises:
        ControlError: ``no-datastore``, or it told nothing of this node yet.
    """
    desired = None if view.cluster is None else view.cluster.desired()
    if desired is None:
        raise ControlError(
            "no-datastore",
            "the daemon has not read this node's objects from a datastore yet",
        )
    shows_all = bool(arguments.get("all"))
    return (row for row in _compare(view, desired) if shows_all or row["state"] != SAME)


def _source(view: DaemonView) -> Iterator[Row]:
    """Yield the age of the datastore's data."""
    if view.cluster is None:
        return
    found = view.cluster.status
    since = view.wall_time(found.since)
    if found.is_connected:
        state, text = SAME, f"connected to {found.source} since {since}"
    else:
        error = f" ({found.last_error})" if found.last_error else ""
        state, text = STALE, f"datastore not connected since {since}{error}"
    applied = found.applied_revision
    text = f"compared with revision {applied}; {text}"
    newest = found.server_revision if found.is_connected else None
    row = _row("datastore", found.kind, state, newest, applied, text=text)
    yield row | {"revision": applied, "since": since}


def _compare(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    yield from _source(view)
    yield from _identity(view, desired)
    yield from _peers(view, desired)
    yield from _policies(view, desired)
    yield from _routes(view, desired)
    yield from _kernel(view, desired)
    yield from _held(view)
    for warning in desired.warnings:
        yield _row("object", str(warning), DIFFERS, None, None, text=warning.text)


def _held(view: DaemonView) -> Iterator[Row]:
    """Yield objects that stay in force although the datastore no longer has them."""
    for each in (
        () if view.cluster is None else view.cluster.holds.objects(view.wall_time)
    ):
        text = f"held until {each['until']}: its removal is implausible"
        yield _row(
            each["kind"], each["object"], HELD, each["replaced_by"], "held", text=text
        )


def _row(
    part: str,
    name: str,
    state: str,
    wanted: Any,  # noqa: ANN401  # whatever the row is about, as JSON has it
    running: Any,  # noqa: ANN401
    *,
    text: str = "",
) -> Row:
    return {
        "part": part,
        "name": name,
        "state": state,
        "wanted": wanted,
        "running": running,
        "text": text,
    }


def _value(part: str, name: str, wanted: object, running: object) -> Row:
    state = SAME if wanted == running else DIFFERS
    return _row(part, name, state, wanted, running)


def _identity(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    speaker = view.speaker
    yield _value(
        "node", "router id", desired.router_id, dotted(speaker.context.router_id)
    )
    yield _value("node", "AS", desired.asn, view.process.own_as() or desired.asn)
    if desired.cluster_id:
        cluster_id = dotted(speaker.context.numbers.cluster_id)
        yield _value("node", "cluster id", desired.cluster_id, cluster_id)
    listening = sorted({port for _, port in speaker.listener.addresses})
    yield _value("node", "listening port", [desired.listen_port], listening)
    yield _row(
        "node", "compatibility", SAME, desired.compat.value, desired.compat.value
    )


# -- sessions -----------------------------------------------------------------------------


def _peers(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    wanted = {peer.remote_addr: peer for peer in desired.peers}
    running = {
        address: peer
        for address, peer in view.speaker.peers.items()
        if not peer.range_name
    }
    for address, settings in wanted.items():
        peer = running.get(address)
        if peer is None:
            yield _row("session", settings.name, MISSING, address, None)
        else:
            yield _session(settings, peer)
    for address in running.keys() - wanted.keys():
        peer = running[address]
        text = "by the configuration"
        yield _row("session", peer.settings.name, EXTRA, None, address, text=text)


def _session(settings: PeerSettings, peer: Peer) -> Row:
    names = [
        each.name
        for each in fields(settings)
        if getattr(settings, each.name) != getattr(peer.settings, each.name)
    ]
    shown = [name for name in names if name not in _SECRET]
    return _row(
        "session",
        settings.name,
        DIFFERS if names else SAME,
        {name: _plain(getattr(settings, name)) for name in shown} or settings.name,
        {name: _plain(getattr(peer.settings, name)) for name in shown}
        or STATE_NAMES[peer.state],
        text=", ".join(names),
    )


def _plain(value: object) -> object:
    is_plain = value is None or isinstance(value, bool | int | str)
    return value if is_plain else str(value)


# -- policies -----------------------------------------------------------------------------


def _policies(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    for spec in desired.policies:
        try:
            running = view.speaker.context.policies[spec.name].spec
        except KeyError:
            yield _row("policy", spec.name, MISSING, _terms(spec.terms), None)
            continue
        state = SAME if running == spec else DIFFERS
        yield _row(
            "policy", spec.name, state, _terms(spec.terms), _terms(running.terms)
        )
    running_kernel: Mapping[Family, KernelPolicy] = view.kernel.policies()
    for family, policy in running_kernel.items():
        wanted = desired.kernel.get(family, KernelPolicy())
        state = SAME if wanted == policy else DIFFERS
        yield _row(
            "kernel policy",
            str(family),
            state,
            _terms(wanted.policy.terms),
            _terms(policy.policy.terms),
        )


def _terms(terms: Iterable[object]) -> str:
    count = sum(1 for _ in terms)
    return f"{count} term{'' if count == 1 else 's'}"


# -- routes -------------------------------------------------------------------------------


def _routes(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    wanted = {(block.family, block.nlri): "block" for block in desired.originated}
    for static in desired.statics:
        wanted.setdefault((static.family, static.nlri), "static route")
    for (family, nlri), part in wanted.items():
        sources = _local_sources(view, family, nlri)
        state = SAME if sources else MISSING
        running = ", ".join(sources) or None
        yield _row(part, format_prefix(nlri, family.afi), state, "announced", running)


def _local_sources(view: DaemonView, family: Family, nlri: Nlri) -> list[str]:
    """Return which of our own sources hold a prefix; the best path is marked."""
    entry = view.speaker.tables[family].loc_rib.table.get(nlri)
    best = best_of(entry)
    return [
        path.source.name + (" (best)" if path is best else "")
        for path in paths_of(entry)
        if not path.source.address
    ]


def _kernel(view: DaemonView, desired: "NodeDesired") -> Iterator[Row]:
    fib = view.kernel.fib
    if fib is not None:
        for family in view.speaker.tables:
            for nlri, fault in fib.errors(family).items():
                route = fib.route(family, nlri)
                running = None if route is None else route.state.value
                wanted = RouteState.INSTALLED.value
                prefix = format_prefix(nlri, family.afi)
                yield _row(
                    "kernel route", prefix, DIFFERS, wanted, running, text=fault.text
                )
    if desired.needs_tunnel:
        trouble = view.kernel.tunnel_fault()
        state = DIFFERS if trouble else SAME
        yield _row(
            "tunnel", "tunl0", state, desired.tunnel_addr or None, None, text=trouble
        )
