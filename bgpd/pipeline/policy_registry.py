"""The policies that sessions name, compiled."""

import logging
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from bgpd.session.settings import PeerSettings
from bgpd.texts.errors import text_of
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
from rib.policy.prefixes import PrefixMatcher

HIDDEN: Final = "inside an aggregate advertised with summary_only"
DEFAULT: Final = "default_originate"
WITH_DEFAULT: Final = " with default_originate"
DEFAULTS: Final = PrefixMatch((prefix_entry("0.0.0.0/0"), prefix_entry("::/0")))
_NO_DEFAULT: Final = Term(DEFAULT, Outcome.REJECT, Match(prefixes=DEFAULTS))

_log = logging.getLogger(__name__)


class Replaced(NamedTuple):
    """The result of replacing the policies.

    Attributes:
        among: For each policy that is new or differs, the only prefixes that its two forms
            may judge differently; ``None`` for all.
        faults: For each policy that failed to compile, why. The previous one of that name
            stays in force; without one, its users are denied everything.
        former: What was in force and is no more, to be freed in steps: thousands take
            50 ms.
    """

    among: dict[str, PrefixMatch | None]
    faults: dict[str, str]
    former: list[Policy]


class _Change(NamedTuple):
    """The effect of a replaced policy.

    Attributes:
        spec: The policy.
        before: What is in force under its name; ``None`` for nothing.
        after: What is to be; ``None`` where nothing changes.
        among: As ``Replaced`` has it.
        fault: Why it failed to compile; else empty.
    """

    spec: PolicySpec
    before: Policy | None
    after: Policy | None = None
    among: PrefixMatch | None = None
    fault: str = ""


class PolicyRegistry:
    """Policies by name, built-in ones among them."""

    def __init__(self) -> None:
        self._policies = {
            name: compile_policy(spec) for name, spec in BUILT_IN_POLICIES.items()
        }
        self._hidden: PrefixMatch | None = None
        # By export policy, and what judges default routes; ``None`` is that policy itself.
        self._exports: dict[tuple[str, str | None], Policy] = {}
        self._met: set[PrefixMatch] = set()
        self._ready: dict[str, _Change] = {}

    def __getitem__(self, name: str) -> Policy:
        return self._policies[name]

    def import_of(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's import policy; eBGP without one denies (RFC 8212)."""
        return self.of_peer(settings.import_policy, is_ibgp=is_ibgp)

    def export_of(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's export policy; eBGP without one denies (RFC 8212)."""
        policy = self.of_peer(settings.export_policy, is_ibgp=is_ibgp)
        is_told = self.originates_default(settings)
        return self.exported(policy.name, settings.default_policy if is_told else None)

    def of_peer(self, name: str, *, is_ibgp: bool) -> Policy:
        """Return a peer's policy by name; eBGP without one denies (RFC 8212).

        Configuration was checked; a policy that was removed while in use denies, too.
        """
        default = ACCEPT_ALL if is_ibgp else EBGP_DEFAULT_DENY
        policy = self._policies.get(name or default.name)
        return policy or self._policies[EBGP_DEFAULT_DENY.name]

    def turn(self, when: PrefixMatch, *, holds: bool) -> None:
        """Note whether a condition of ``default_originate`` holds."""
        if holds:
            self._met.add(when)
        else:
            self._met.discard(when)

    def originates_default(self, settings: PeerSettings) -> bool:
        """Whether a peer now gets a default route whatever its export policy says."""
        when = settings.default_when
        return settings.originates_default and (when is None or when in self._met)

    def exported(self, name: str, default_policy: str | None = None) -> Policy:
        """Return a policy's export filter, which suppresses routes inside a summary.

        Each form has its own name, since the name distinguishes groups.

        Args:
            name: The policy.
            default_policy: What default routes are judged by in its place; empty lets them
                all through.
        """
        policy = self._policies.get(name) or self._policies[EBGP_DEFAULT_DENY.name]
        added: tuple[Term, ...] = ()
        if default_policy is not None:
            added += self._of_defaults(default_policy)
        if self._hidden is not None:
            added += (Term(HIDDEN, Outcome.REJECT, Match(prefixes=self._hidden)),)
        if not added:
            return policy
        shown = policy.name
        if default_policy is not None:
            shown += WITH_DEFAULT + (f" by {default_policy}" if default_policy else "")
        terms = (*added, *policy.spec.terms)
        key = policy.name, default_policy
        known = self._exports.get(key)
        spec = replace(policy.spec, name=shown, terms=terms)
        if known is None or known.spec != spec:
            known = self._exports[key] = compile_policy(spec)
        return known

    def _of_defaults(self, name: str) -> tuple[Term, ...]:
        """Return the terms for default routes only, from a policy if one is named."""
        accepted = Term(DEFAULT, Outcome.ACCEPT, Match(prefixes=DEFAULTS))
        if not name:
            return (accepted,)
        spec = (self._policies.get(name) or self._policies[EBGP_DEFAULT_DENY.name]).spec
        narrowed = (_of_defaults_alone(term) for term in spec.terms)
        rest = accepted if spec.accepts_unmatched else _NO_DEFAULT
        return (*(term for term in narrowed if term is not None), rest)

    def exports(self, name: str) -> Iterator[Policy]:
        """Yield all forms of a policy that exports use."""
        yield self.exported(name)
        for of, default_policy in tuple(self._exports):
            if of == name and default_policy is not None:
                yield self.exported(of, default_policy)

    def exports_of_defaults(self, name: str) -> Iterator[Policy]:
        """Yield all forms of a policy for default routes in another policy's exports."""
        for of, default_policy in tuple(self._exports):
            if name and default_policy == name:
                yield self.exported(of, default_policy)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._policies))

    def hide(self, prefixes: PrefixMatch | None) -> PrefixMatch | None:
        """Make exports suppress some prefixes; ``None`` suppresses none.

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
        """Make each policy forget its unused memos, one at a step."""
        for policy in (*self._policies.values(), *self._exports.values()):
            policy.age()
            yield

    def prepare(self, specs: Iterable[PolicySpec]) -> Generator[None, None, None]:
        """Compile the policies for ``replace``, one at a step.

        A policy takes some 0.3 ms, and each peer of thousands may have its own.
        """
        self._ready.clear()
        for spec in specs:
            self._ready[spec.name] = self._change_to(spec)
            yield

    def variant(
        self, specs: Iterable[PolicySpec]
    ) -> Generator[None, None, "PolicyRegistry"]:
        """Return what ``replace`` would make of this, without doing it; a policy a step.

        Policies that are the same in both are the same objects.
        """
        other = PolicyRegistry()
        for name in BUILT_IN_POLICIES:
            other._policies[name] = self._policies[name]
        for spec in specs:
            change = self._change_to(spec)
            policy = change.after or change.before
            if policy is not None:
                other._policies[spec.name] = policy
            yield
        other._hidden = self._hidden
        other._met = set(self._met)
        other._exports = {
            key: policy
            for key, policy in self._exports.items()
            if other._policies.get(key[0]) is self._policies.get(key[0])
        }
        return other

    def replace(self, specs: Iterable[PolicySpec]) -> Replaced:
        """Replace the policies; one that fails to compile does not affect the others."""
        new = {spec.name: spec for spec in specs}
        gone = self._policies.keys() - new.keys() - BUILT_IN_POLICIES.keys()
        found = Replaced({}, {}, [self._policies.pop(name) for name in gone])
        for key in [key for key in self._exports if not gone.isdisjoint(key)]:
            del self._exports[key]
        for name, spec in new.items():
            change = self._ready.get(name)
            if (
                change is None
                or change.spec is not spec
                or change.before is not self._policies.get(name)
            ):
                change = self._change_to(spec)
            if change.fault:
                found.faults[name] = change.fault
            elif change.after is not None:
                if change.before is not None:
                    found.former.append(change.before)
                self._policies[name] = change.after
                found.among[name] = change.among
        self._ready.clear()
        return found

    def _change_to(self, spec: PolicySpec) -> _Change:
        name, before = spec.name, self._policies.get(spec.name)
        if name in BUILT_IN_POLICIES or (before and before.spec == spec):
            return _Change(spec, before)
        try:
            compiled = compile_policy(spec)
            among = None if before is None else concerned(before.spec, spec)
        except Exception as error:  # noqa: BLE001  # whatever its terms hold
            fault = text_of(error)
            _log.exception(
                "policy %(policy)s keeps its previous state",
                {"event": "policy-failed", "policy": name, "reason": fault},
            )
            return _Change(spec, before, fault=fault)
        return _Change(spec, before, compiled, among)


def _of_defaults_alone(term: Term) -> Term | None:
    """Return a term restricted to default routes; ``None`` if it never matches them."""
    prefixes, entries = term.match.prefixes, DEFAULTS.entries
    if prefixes is not None:
        entries = tuple(
            entry
            for entry in entries
            if PrefixMatcher(prefixes, entry.afi).matches(entry.nlri)
        )
    if not entries:
        return None
    match = replace(term.match, prefixes=PrefixMatch(entries))
    return replace(term, name=f"{DEFAULT}, {term.name}", match=match)
