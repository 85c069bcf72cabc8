"""Configured policies change while sessions use them: what is re-evaluated or re-advertised.

Export: the update groups that use a changed policy get the routes on which its two forms
differently. Import: the routes of the peers that use it are judged again from what was
received. Nothing is asked of a peer, and no session is reset.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain

from bgpd.pipeline.policy_registry import DEFAULTS
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.limit_changes import retry
from bgpd.speaker.peer import Peer
from rib.policy import PolicySpec, PrefixMatch


class PolicyChanges:
    """Puts policies in force.

    Args:
        context: Whose policies and tables they are.
        peers: By address.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self._context = context
        self._peers = peers

    def replace(self, specs: Iterable[PolicySpec]) -> dict[str, str]:
        """Replace the configured policies; peers that use a changed one follow, live.

        Returns:
            Policies that failed to compile, by name, and why (``PolicyTable.replace``).
        """
        policies = self._context.policies
        among, faults = policies.replace(specs)
        for name, prefixes in among.items():
            for tables in self._context.tables.values():
                for policy in policies.exports(name):
                    tables.replace_policy(policy.name, policy, prefixes)
                for policy in policies.exports_of_defaults(name):
                    tables.replace_policy(policy.name, policy, DEFAULTS)
        if among:
            self._context.jobs.begin(self._import_by(among))
        return faults

    def _import_by(self, policies: Collection[str]) -> Iterator[None]:
        """Judge again what peers sent that import by some policies."""
        for peer in tuple(self._peers.values()):
            if peer.settings.import_policy in policies:
                retry(peer)
                peer.imports.import_again()
                yield

    def hide(self, prefixes: PrefixMatch | None) -> None:
        """Advertise nothing of some prefixes, whatever policies say."""
        policies = self._context.policies
        among = policies.hide(prefixes)
        for tables in self._context.tables.values() if among else ():
            for policy in chain.from_iterable(map(policies.exports, policies)):
                tables.replace_policy(policy.name, policy, among)
