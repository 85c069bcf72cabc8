"""The policies that sessions name, compiled."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from bgpd.session.settings import PeerSettings
from rib.policy import (
    ACCEPT_ALL,
    BUILT_IN_POLICIES,
    EBGP_DEFAULT_DENY,
    Match,
    Outcome,
    Policy,
    PolicySpec,
    PrefixMatch,
    Term,
    compile_policy,
    concerned,
    prefix_entry,
)

HIDDEN: Final = "inside an aggregate advertised with summary_only"
DEFAULT: Final = "default_originate"
WITH_DEFAULT: Final = " with default_originate"
_DEFAULTS: Final = PrefixMatch((prefix_entry("0.0.0.0/0"), prefix_entry("::/0")))

_log = logging.getLogger(__name__)


class Replaced(NamedTuple):
    """What became of a set of policies that replaced another.

    Attributes:
        among: For each policy that is new or differs, the only prefixes that its two forms
            may judge differently; ``None`` for all.
        faults: For each policy that cannot be had, why. What was in force under its name
            stays, or else its users are denied everything.
    """

    among: dict[str, PrefixMatch | None]
    faults: dict[str, str]


class PolicyTable:
    """Policies by name, built-in ones among them."""

    def __init__(self) -> None:
        self._policies = {
            name: compile_policy(spec) for name, spec in BUILT_IN_POLICIES.items()
        }
        self._hidden: PrefixMatch | None = None
        self._exports: dict[str, Policy] = {}

    def __getitem__(self, name: str) -> Policy:
        return self._policies[name]

    def import_of(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's import policy; eBGP without one denies (RFC 8212)."""
        return self.of_peer(settings.import_policy, is_ibgp=is_ibgp)

    def export_of(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's export policy; eBGP without one denies (RFC 8212)."""
        policy = self.of_peer(settings.export_policy, is_ibgp=is_ibgp)
        return self.exported(policy.name, tells_default=settings.tells_default)

    def of_peer(self, name: str, *, is_ibgp: bool) -> Policy:
        """Return what a peer names; eBGP that names none denies (RFC 8212).

        Configuration was checked; a policy that was removed while in use denies, too.
        """
        default = ACCEPT_ALL if is_ibgp else EBGP_DEFAULT_DENY
        policy = self._policies.get(name or default.name)
        return policy or self._policies[EBGP_DEFAULT_DENY.name]

    def exported(self, name: str, *, tells_default: bool = False) -> Policy:
        """Return what exports by a policy do.

        Nothing inside a summary is told; ``tells_default`` tells every default route. Each
        form has a name of its own, for groups are told apart by it.
        """
        policy = self._policies.get(name) or self._policies[EBGP_DEFAULT_DENY.name]
        added: tuple[Term, ...] = ()
        if tells_default:
            added += (Term(DEFAULT, Outcome.ACCEPT, Match(prefixes=_DEFAULTS)),)
        if self._hidden is not None:
            added += (Term(HIDDEN, Outcome.REJECT, Match(prefixes=self._hidden)),)
        if not added:
            return policy
        shown = policy.name + WITH_DEFAULT * tells_default
        terms = (*added, *policy.spec.terms)
        known = self._exports.get(shown)
        if known is None or known.spec.terms != terms:
            spec = replace(policy.spec, name=shown, terms=terms)
            known = self._exports[shown] = compile_policy(spec)
        return known

    def exports(self, name: str) -> Iterator[Policy]:
        """Yield all forms of a policy that exports use."""
        yield self.exported(name)
        if name + WITH_DEFAULT in self._exports:
            yield self.exported(name, tells_default=True)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._policies))

    def hide(self, prefixes: PrefixMatch | None) -> PrefixMatch | None:
        """Let exports tell nothing of some prefixes; ``None`` is of none.

        Returns:
            Those that this makes a difference for; ``None`` where it makes none.
        """
        before = set() if self._hidden is None else set(self._hidden.entries)
        after = set() if prefixes is None else set(prefixes.entries)
        if before == after:
            return None
        self._hidden = prefixes
        return PrefixMatch(tuple(sorted(before ^ after)))

    def look_after(self) -> Iterator[None]:
        """Let each policy forget what nobody asks for, one at a step."""
        for policy in (*self._policies.values(), *self._exports.values()):
            policy.age()
            yield

    def replace(self, specs: Iterable[PolicySpec]) -> Replaced:
        """Take other policies than so far; one that cannot be had leaves the others be."""
        new = {spec.name: spec for spec in specs}
        for name in self._policies.keys() - new.keys() - BUILT_IN_POLICIES.keys():
            del self._policies[name]
            self._exports.pop(name, None)
            self._exports.pop(name + WITH_DEFAULT, None)
        found = Replaced({}, {})
        for name, spec in new.items():
            before = self._policies.get(name)
            if name in BUILT_IN_POLICIES or (before and before.spec == spec):
                continue
            try:
                compiled = compile_policy(spec)
                among = None if before is None else concerned(before.spec, spec)
            except Exception as error:  # noqa: BLE001  # whatever its terms hold
                found.faults[name] = str(error) or type(error).__name__
                _log.exception("policy %s keeps its previous state", name)
                continue
            self._policies[name] = compiled
            found.among[name] = among
        return found
