"""Configured policies change while sessions use them: what is re-evaluated or re-advertised.

Export: the update groups that use a changed policy get the routes on which its two forms
differently. Import: the routes of the peers that use it are judged again from what was
received. Nothing is asked of a peer, and no session is reset.
"""

import logging
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from bgpd.pipeline.policy_registry import DEFAULTS
from bgpd.runtime.log_fields import Names
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.limit_changes import retry
from bgpd.speaker.peer import Peer
from rib.policy import Policy, PolicySpec, PrefixMatch

_SHOWN: Final = 20  # names of changed policies

_log = logging.getLogger(__name__)


class PolicyChanges:
    """Applies changed policies.

    Args:
        context: Whose policies and tables they are.
        peers: By address.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self._context = context
        self._peers = peers
        # Changed policies whose exports are still to follow; prefixes as ``_follow`` has them.
        self._waiting: dict[str, PrefixMatch | None] = {}

    def prepare(self, specs: Iterable[PolicySpec]) -> Generator[None, None, None]:
        """Prepare ``replace`` in steps, so that it blocks nothing."""
        return self._context.policies.prepare(specs)

    def replace(self, specs: Iterable[PolicySpec]) -> dict[str, str]:
        """Replace the configured policies; peers that use a changed one follow, live.

        Few are followed at once, many in steps.

        Returns:
            Policies that failed to compile, by name, and why (``PolicyRegistry.replace``).
        """
        among, faults, former = self._context.policies.replace(specs)
        if among:
            _log.info(
                "changed policies: %(policies)s",
                {"event": "policy-changed", "policies": _shown(among)},
            )
            self._follow(among)
            self._context.work_queue.begin(self._import_by(among))
        if former:
            self._context.work_queue.add(_freed(former))
        return faults

    def _follow(self, among: Mapping[str, PrefixMatch | None]) -> None:
        """Make exports follow changed policies.

        Args:
            among: By policy, the only prefixes that its two forms may judge differently;
                ``None`` for all.
        """
        is_under_way = bool(self._waiting)
        for name, prefixes in among.items():
            # An export follows from what it is to what is in force by then, all at once.
            if name in self._waiting:
                prefixes = _either(self._waiting[name], prefixes)  # noqa: PLW2901
            self._waiting[name] = prefixes
        if not is_under_way:
            self._context.work_queue.begin(self._export_by())

    def _export_by(self) -> Iterator[None]:
        """Make exports use the policies in force, those of one policy at a step."""
        policies = self._context.policies
        while self._waiting:
            name = next(iter(self._waiting))
            prefixes = self._waiting.pop(name)
            for tables in self._context.tables.values():
                for policy in policies.exports(name):
                    tables.replace_policy(policy.name, policy, prefixes)
                for policy in policies.exports_of_defaults(name):
                    tables.replace_policy(policy.name, policy, DEFAULTS)
            yield

    def _import_by(self, policies: Collection[str]) -> Iterator[None]:
        """Re-evaluate routes of peers whose import policy changed."""
        for peer in tuple(self._peers.values()):
            if peer.settings.import_policy in policies:
                retry(peer)
                peer.imports.reimport()
                yield

    def hide(self, prefixes: PrefixMatch | None) -> None:
        """Suppress some prefixes, whatever policies say."""
        policies = self._context.policies
        among = policies.hide(prefixes)
        if among:
            self._follow(dict.fromkeys(policies, among))


def _shown(names: Collection[str]) -> Names:
    return Names((*islice(names, _SHOWN),), more=len(names) - _SHOWN)


def _freed(former: list[Policy]) -> Iterator[None]:
    """Free policies one at a step."""
    while former:
        former.pop()
        yield


def _either(one: PrefixMatch | None, other: PrefixMatch | None) -> PrefixMatch | None:
    """Return the union of two sets of prefixes; ``None`` means all."""
    if one is None or other is None:
        return None
    return PrefixMatch(tuple(dict.fromkeys((*one.entries, *other.entries))))
