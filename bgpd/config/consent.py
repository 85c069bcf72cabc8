"""Changes that end sessions, where the operator wants to be asked first. Pure.

``reload.resets: ask`` keeps what a changed file would reset from happening unseen. What is held
keeps its state, with the policies that it names; all else takes effect. So the settings in
force are a mixture of the old ones and the new ones, and are sound: a name is had once, and each
policy that is named is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from bgpd.config.diff import Change, Step, StepKind
from bgpd.config.settings import DaemonSettings
from bgpd.session.settings import ChangeCost, PeerSettings, RangeSettings
from rib.policy import PolicySpec

_IDENTITY: Final = ("asn", "router_id")

_T = TypeVar("_T", PeerSettings, RangeSettings)


def ending_step(step: Step, up: Mapping[str, str]) -> bool:
    """Return whether a step ends a session that is up.

    Args:
        step: With its cost for the sessions that there are.
        up: Addresses of neighbours with a session, and the range that each is of.
    """
    if step.cost is not ChangeCost.RESET:
        return False
    match step.kind:
        case StepKind.PEER:
            return step.name in up
        case StepKind.RANGE:
            return any(up.values())
        case StepKind.SECTION:
            return bool(up)
        case _:
            return False


def withhold(
    old: DaemonSettings, new: DaemonSettings, held: Iterable[Step]
) -> tuple[DaemonSettings, tuple[Step, ...]]:
    """Return the new settings without some steps, and which steps are left out.

    Args:
        old: In force.
        new: Wanted.
        held: Steps from one to the other that must not be taken.
    """
    held = tuple(held)
    if not held:
        return new, ()
    peers = _kept(
        {peer.remote_addr: peer for peer in old.peers},
        {peer.remote_addr: peer for peer in new.peers},
        [step for step in held if step.kind is StepKind.PEER],
    )
    ranges = _kept(
        {each.prefix: each for each in old.ranges},
        {each.prefix: each for each in new.ranges},
        [step for step in held if step.kind is StepKind.RANGE],
    )
    speaker = new.speaker
    if any(step.kind is StepKind.SECTION for step in held):
        speaker = replace(
            speaker, **{name: getattr(old.speaker, name) for name in _IDENTITY}
        )
    mixed = replace(
        new,
        speaker=speaker,
        peers=tuple(peers[address] for address in sorted(peers)),
        ranges=tuple(ranges[prefix] for prefix in sorted(ranges)),
    )
    return replace(mixed, policies=_policies(old, mixed)), held


def _kept(
    before: Mapping[str, _T], after: Mapping[str, _T], held: Iterable[Step]
) -> dict[str, _T]:
    """Return what there is after all steps but some; a name goes to what is kept.

    What would take a name that something kept still has keeps its state, too.
    """
    kept = {step.name: before[step.name] for step in held if step.name in before}
    added = {step.name for step in held if step.change is Change.ADD}
    while True:
        names = {each.name for each in kept.values()}
        twice = [
            key
            for key, each in after.items()
            if key not in kept and each.name in names and key in before
        ]
        if not twice:
            break
        kept |= {key: before[key] for key in twice}
    return {
        key: each
        for key, each in after.items()
        if key not in added and key not in kept and each.name not in names
    } | kept


def _policies(old: DaemonSettings, mixed: DaemonSettings) -> tuple[PolicySpec, ...]:
    """Return the policies, with those that only what is kept names."""
    found = {each.name: each for each in mixed.policies}
    former = {each.name: each for each in old.policies}
    templates = (*mixed.peers, *(entry.template for entry in mixed.ranges))
    for peer in templates:
        for name in (peer.import_policy, peer.export_policy, peer.default_policy):
            if name not in found and name in former:
                found[name] = former[name]
    return tuple(found[name] for name in sorted(found))
