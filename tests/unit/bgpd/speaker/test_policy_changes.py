"""Policies that change while sessions use them: compiled ahead, and followed in steps."""

from collections.abc import Iterator

import pytest

from bgpd.pipeline.policy_registry import PolicyRegistry
from bgpd.speaker.speaker import Speaker
from rib.nlri import parse_prefix
from rib.policy import (
    Actions,
    Match,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    compile_policy,
)
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Rack, until

MANY = 20


def inside(prefix: str) -> PrefixMatch:
    afi, nlri = parse_prefix(prefix)
    return PrefixMatch((PrefixEntry(afi, nlri, nlri[0], 32),))


def rejecting(name: str, *prefixes: str) -> PolicySpec:
    terms = [Term(p, Outcome.REJECT, Match(prefixes=inside(p))) for p in prefixes]
    return PolicySpec(name, (*terms, Term("rest", Outcome.ACCEPT)))


def others(med: int) -> list[PolicySpec]:
    """Return policies that no peer uses, which change with ``med``."""
    terms = (Term("all", Outcome.ACCEPT, actions=Actions(med=med)),)
    return [PolicySpec(f"other {n}", terms) for n in range(MANY)]


@on_virtual_time
async def test_exports_follow_in_steps_what_changes_again_meanwhile() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        policies = a.speaker.policies
        policies.replace([*others(0), rejecting("filter")])
        a.peers_with(b, export_policy="filter")
        b.peers_with(a)
        prefixes = {f"10.{n}.0.0/16" for n in range(1, 6)}
        a.announce(*prefixes)
        await until(lambda: b.prefixes() == prefixes)
        a.speaker.context.work_queue.budget = 0  # a step at a time
        policies.replace([*others(1), rejecting("filter", "10.1.0.0/16")])
        policies.replace([*others(2), rejecting("filter", "10.2.0.0/16")])
        policies.hide(inside("10.3.0.0/16"))
        assert b.prefixes() == prefixes
        left = {"10.1.0.0/16", "10.4.0.0/16", "10.5.0.0/16"}
        await until(lambda: b.prefixes() == left)
        policies.hide(None)
        policies.replace([*others(3), rejecting("filter", "10.4.0.0/16")])
        await until(lambda: b.prefixes() == prefixes - {"10.4.0.0/16"})
        # A wider change before and behind a narrow one stays as wide.
        accepted = {"10.5.0.0/16"}
        policies.replace([*others(4), PolicySpec("filter", ())])
        policies.replace([*others(5), only("10.5.0.0/16")])
        await until(lambda: b.prefixes() == accepted)
        assert a.flaps(b) == b.flaps(a) == 0


def only(prefix: str) -> PolicySpec:
    match = Match(prefixes=inside(prefix))
    return PolicySpec("filter", (Term("one", Outcome.ACCEPT, match),))


@on_virtual_time
async def test_a_step_concerns_one_policy() -> None:
    async with Rack() as rack:
        speaker: Speaker = (await rack.node(1)).speaker
        steps = speaker.policies.prepare(others(1))
        assert sum(1 for _ in steps) == MANY
        speaker.context.work_queue.budget = 0
        assert speaker.policies.replace(others(1)) == {}
        assert len(speaker.context.work_queue) > 0
        await until(lambda: len(speaker.context.work_queue) == 0)


class TestPreparedPolicies:
    GOOD = rejecting("p", "10.1.0.0/16")

    @pytest.fixture
    def table(self) -> PolicyRegistry:
        return PolicyRegistry()

    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the names of what is compiled from now on, as it goes on."""
        names: list[str] = []

        def noted(spec: PolicySpec) -> object:
            names.append(spec.name)
            return compile_policy(spec)

        module = "bgpd.pipeline.policy_registry.compile_policy"
        monkeypatch.setattr(module, noted)
        return names

    def test_they_are_compiled_once(
        self, table: PolicyRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = self.compiled(monkeypatch)
        run(table.prepare([self.GOOD]))
        assert names == ["p"]
        assert table.replace([self.GOOD]).among == {"p": None}
        assert names == ["p"]
        assert table["p"].spec is self.GOOD
        run(table.prepare([self.GOOD]))
        assert table.replace([self.GOOD]).among == {}
        assert names == ["p"]

    def test_others_than_those_are_compiled_when_they_come(
        self, table: PolicyRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = self.compiled(monkeypatch)
        other, third = rejecting("p", "10.2.0.0/16"), rejecting("p", "10.3.0.0/16")
        run(table.prepare([self.GOOD]))
        table.replace([other])
        assert table["p"].spec is other
        assert names == ["p", "p"]
        # What was prepared compares with what was in force by then.
        run(table.prepare([third]))
        steps = table.prepare([self.GOOD])
        next(steps)
        table.replace([third])
        assert table["p"].spec is third
        among = table.replace([self.GOOD]).among["p"]
        assert among is not None
        wanted = {*inside("10.3.0.0/16").entries, *inside("10.1.0.0/16").entries}
        assert set(among.entries) == wanted

    def test_the_fault_of_one_is_reported_when_it_is_put_in_force(
        self, table: PolicyRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(spec: PolicySpec) -> object:
            raise ValueError(f"no {spec.name}")

        monkeypatch.setattr("bgpd.pipeline.policy_registry.compile_policy", fails)
        run(table.prepare([self.GOOD]))
        found = table.replace([self.GOOD])
        assert (found.among, found.faults) == ({}, {"p": "no p"})

    def test_what_is_in_force_no_more_is_handed_over(
        self, table: PolicyRegistry
    ) -> None:
        table.replace([self.GOOD])
        before = table["p"]
        assert table.replace([rejecting("p", "10.2.0.0/16")]).former == [before]
        before = table["p"]
        assert table.replace([]).former == [before]


def run(steps: Iterator[None]) -> None:
    for _ in steps:
        pass
