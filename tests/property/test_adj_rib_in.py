"""After any history a peer's table is what judging each of its routes by itself gives."""

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rib.adj_rib_in import AdjRibIn
from rib.attributes import PathAttributes
from rib.attributes.codes import COMMUNITIES, MULTI_EXIT_DISC
from rib.attributes.communities import LLGR_STALE, NO_LLGR
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.import_checks import ImportChecks
from rib.loc_rib import LocRib
from rib.long_lived import make_long_lived
from rib.next_hops import NextHopTable
from rib.nlri import parse_prefix
from rib.path import Path
from rib.path_set import Entry, members_of
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from rib.reimport import reimport
from tests.support.routes import a_path, a_source, some_attributes

LOCAL_AS = 64512
PREFIXES = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(4)]
LOW = frozenset(PREFIXES[:2])  # 10.0.0.0/15
TAGGED = 7
ATTRIBUTES = [
    some_attributes(local_pref=100),
    some_attributes(local_pref=100, communities=(TAGGED,)),
    some_attributes(med=5, next_hop="192.0.2.2"),
    some_attributes("65001", communities=(NO_LLGR,)),
    some_attributes(f"65001 {LOCAL_AS}"),
]
is_low = Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15"))
is_tagged = Match(communities=frozenset({TAGGED}))


class Rule(NamedTuple):
    """A policy and what it does, said once more: whom it refuses, whom it marks."""

    spec: PolicySpec
    refuses_low: bool = False
    refuses_tagged: bool = False
    marks_low: bool = False
    marks_all: bool = False


def a_spec(*terms: Term) -> PolicySpec:
    return PolicySpec("p", terms, accepts_unmatched=True)


RULES = [
    Rule(ACCEPT_ALL),
    Rule(a_spec(Term("low", Outcome.REJECT, is_low)), refuses_low=True),
    Rule(a_spec(Term("tag", Outcome.REJECT, is_tagged)), refuses_tagged=True),
    Rule(
        a_spec(
            Term("tag", Outcome.REJECT, is_tagged),
            Term("low", Outcome.NEXT, is_low, Actions(med=9)),
        ),
        refuses_tagged=True,
        marks_low=True,
    ),
    Rule(a_spec(Term("all", Outcome.NEXT, Match(), Actions(med=9))), marks_all=True),
]


def judged(
    attributes: PathAttributes, nlri: bytes, policy: Rule
) -> PathAttributes | None:
    """Judge one route by the book; ``None`` where it is refused."""
    is_low = nlri in LOW
    if (
        LOCAL_AS in attributes.as_path.asns
        or (policy.refuses_low and is_low)
        or (policy.refuses_tagged and TAGGED in attributes.communities)
    ):
        return None
    if policy.marks_all or (policy.marks_low and is_low):
        return attributes.with_changes({MULTI_EXIT_DISC: (9).to_bytes(4, "big")})
    return attributes


def is_long_lived(attributes: PathAttributes) -> bool:
    return LLGR_STALE in attributes.communities


def long_lived(attributes: PathAttributes) -> PathAttributes:
    """Mark a route by the book (RFC 9494 4.2); only once."""
    if is_long_lived(attributes):
        return attributes
    numbers = (*attributes.communities, LLGR_STALE)
    value = b"".join(number.to_bytes(4, "big") for number in numbers)
    return attributes.with_changes({COMMUNITIES: value})


class Route(NamedTuple):
    """What the peer announced, and what became of it."""

    received: PathAttributes
    epoch: int
    attributes: PathAttributes | None


def is_accepted(route: Route) -> bool:
    return route.attributes is not None


def facts_of(route: Route) -> tuple[PathAttributes, int, bytes]:
    assert route.attributes is not None
    return route.received, route.epoch, route.attributes.octets


Key = tuple[bytes, int]
ids = st.sampled_from((0, 0, 0, 1))
some = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4)
blocks = st.sampled_from(ATTRIBUTES)


class Peer(RuleBasedStateMachine):
    """A peer's table beside a dictionary of what the peer has announced."""

    @initialize(policy=st.sampled_from(RULES), others=some)
    def begin(self, policy: Rule, others: list[bytes]) -> None:
        self.policy = policy
        self.source = a_source("peer", address="10.0.0.9", asn=LOCAL_AS)
        self.loc_rib = LocRib(IPV4_UNICAST)
        self.other = a_path(source=a_source("other", address="10.0.0.1"))
        self.others = frozenset(others)
        self.loc_rib.announce(others, self.other)
        self.rib = AdjRibIn(
            self.source, self.loc_rib, self.import_rules(), NextHopTable()
        )
        self.routes: dict[Key, Route] = {}
        self.followed: dict[bytes, Entry] = dict(self.loc_rib.table)
        self.judging: Iterator[list[Change]] = iter(())
        self.waiting: dict[Key, Route] = {}

    def import_rules(self) -> ImportChecks:
        spec = self.policy.spec
        policy = Policy(spec) if spec is ACCEPT_ALL else compile_policy(spec)
        return ImportChecks(policy, local_as=LOCAL_AS, router_id=1)

    def follow(self, changes: list[Change]) -> None:
        for old, new, nlris in changes:
            assert len({*nlris}) == len(nlris)
            for nlri in nlris:
                assert self.followed.pop(nlri, None) is old
                if new is not None:
                    self.followed[nlri] = new

    def outcome(self, attributes: PathAttributes, path_id: int):
        key = (attributes, path_id)
        return self.rib.outcomes.known(key) or self.rib.outcomes.decide(
            key, attributes, path_id
        )

    def note(self, key: Key, received: PathAttributes, epoch: int) -> None:
        self.routes[key] = Route(received, epoch, judged(received, key[0], self.policy))

    @rule(nlris=some, attributes=blocks, path_id=ids)
    def announce(self, nlris, attributes, path_id) -> None:
        outcome = self.outcome(attributes, path_id)
        self.follow(self.rib.announce(outcome, nlris, path_id))
        for nlri in nlris:
            self.note((nlri, path_id), attributes, self.source.epoch)

    @rule(runs=st.lists(st.tuples(some, blocks), max_size=3))
    def announce_all(self, runs) -> None:
        paths, taken = [], []
        for nlris, attributes in runs:
            outcome = self.outcome(attributes, 0)
            if type(outcome) is Path:  # as a read gathers them
                paths.append(outcome)
                taken.append(list(nlris))
                for nlri in nlris:
                    self.note((nlri, 0), attributes, self.source.epoch)
        self.follow(self.rib.announce_all(paths, taken))

    @rule(nlris=some, path_id=ids)
    def withdraw(self, nlris, path_id) -> None:
        self.follow(self.rib.withdraw(nlris, path_id))
        for nlri in nlris:
            self.routes.pop((nlri, path_id), None)

    @rule()
    def lose_the_session(self) -> None:
        self.finish_judging()
        self.rib.make_stale()
        self.routes = {
            key: route for key, route in self.routes.items() if is_accepted(route)
        }

    @rule(is_late=st.booleans())
    def sweep(self, is_late) -> None:
        epoch = self.source.epoch - is_late
        for changes in self.rib.sweep_stale(epoch if is_late else None):
            self.follow(changes)
        for key, route in list(self.routes.items()):
            if route.epoch < epoch and is_accepted(route):
                del self.routes[key]

    @rule()
    def become_long_lived(self) -> None:
        for changes in make_long_lived(self.rib):
            self.follow(changes)
        for key, route in list(self.routes.items()):
            after = route.attributes
            if after is None or route.epoch == self.source.epoch:
                continue
            if NO_LLGR in after.communities:
                del self.routes[key]
            else:
                self.routes[key] = route._replace(attributes=long_lived(after))

    @rule(policy=st.sampled_from(RULES))
    def change_the_rules(self, policy) -> None:
        self.finish_judging()
        self.policy = policy
        self.judging = reimport(self.rib, self.import_rules())
        self.waiting = dict(self.routes)

    @rule()
    def finish_judging(self) -> None:
        """The peer may have said more in between: that was judged when it came."""
        for changes in self.judging:
            self.follow(changes)
        self.judging = iter(())
        for key, then in self.waiting.items():
            now = self.routes.get(key)
            if now is None or now[:2] != then[:2]:
                continue
            self.note(key, now.received, now.epoch)
            after = self.routes[key].attributes
            if after is None:
                if now.epoch != self.source.epoch:
                    del self.routes[key]
            elif now.attributes is not None and is_long_lived(now.attributes):
                self.routes[key] = now._replace(attributes=long_lived(after))
        self.waiting = {}

    @rule()
    def housekeeping(self) -> None:
        for _ in self.rib.discarded.free():
            pass
        for _ in self.rib.outcomes.look_after():
            pass

    @invariant()
    def every_route_is_where_it_belongs(self) -> None:
        table = self.loc_rib.table
        assert self.followed == table
        found = {
            (nlri, path.path_id): Route(path.received, path.epoch, path.attributes)
            for nlri, entry in table.items()
            for path in members_of(entry)
            if path.source is self.source
        }
        expected = {
            key: route for key, route in self.routes.items() if is_accepted(route)
        }
        assert {key: facts_of(route) for key, route in found.items()} == {
            key: facts_of(route) for key, route in expected.items()
        }
        assert {key: why.attributes for key, why in self.rib.filtered.items()} == {
            key: route.received
            for key, route in self.routes.items()
            if not is_accepted(route)
        }
        assert self.others == {
            nlri for nlri, entry in table.items() if self.other in members_of(entry)
        }

    @invariant()
    def routes_are_counted(self) -> None:
        accepted = [key for key, route in self.routes.items() if is_accepted(route)]
        assert self.rib.accepted_count == len(accepted)
        epoch = self.source.epoch
        stale = [key for key in accepted if self.routes[key].epoch < epoch]
        assert self.rib.stale_count == len(stale)
        assert self.rib.fresh_count == len(accepted) - len(stale)
        assert self.rib.received_count == len(self.routes)
        assert sorted(self.rib.own_nlris()) == sorted({nlri for nlri, _ in accepted})


TestPeer = Peer.TestCase
TestPeer.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
