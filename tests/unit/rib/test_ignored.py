"""Prefixes that are not unicast destinations: which are reported, and which are checked again."""

from rib.destinations import MixedRun, NotUnicast
from rib.ignored import Ignored, IgnoredPrefixes
from rib.import_checks import ImportChecks
from rib.policy import ACCEPT_ALL, Policy
from tests.support.routes import nlris

ONE, MULTI = nlris("10.1.0.0/16", "224.1.0.0/16")


def rules(*, allows_reserved: bool = False) -> ImportChecks:
    return ImportChecks(
        Policy(ACCEPT_ALL), local_as=64512, router_id=1, allows_reserved=allows_reserved
    )


def test_the_first_is_news_and_then_ten_times_as_many() -> None:
    ignored = IgnoredPrefixes()
    kind = ignored[NotUnicast.MULTICAST] = Ignored(MULTI)
    assert not [*ignored.news()]
    said = []
    for count in range(1, 1002):
        kind.count = count
        said += [(why, each, each.count) for why, each in ignored.news()]
    expected = [(NotUnicast.MULTICAST, kind, count) for count in (1, 10, 100, 1000)]
    assert said == expected


def test_a_burst_is_news_once() -> None:
    ignored = IgnoredPrefixes()
    kind = ignored[NotUnicast.MULTICAST] = Ignored(MULTI)
    other = ignored[NotUnicast.LOOPBACK] = Ignored(MULTI)
    kind.count, other.count = 2500, 1
    assert len([*ignored.news()]) == 2
    kind.count, other.count = 9999, 9
    assert not [*ignored.news()]
    kind.count = 10_000
    assert [why for why, _ in ignored.news()] == [NotUnicast.MULTICAST]


def test_if_nothing_was_ignored_nothing_is_checked_again() -> None:
    ignored = IgnoredPrefixes()
    ignored.follow(rules(), rules())
    given = [ONE]
    assert ignored.checked(given) is given
    ignored[NotUnicast.MULTICAST] = Ignored(MULTI)
    checked = ignored.checked(given)
    assert (type(checked), checked) == (MixedRun, given)
    nothing: list[bytes] = []
    assert ignored.checked(nothing) is nothing


def test_everything_is_checked_once_rules_allow_other_prefixes() -> None:
    for before, after in ((False, True), (True, False)):
        ignored = IgnoredPrefixes()
        ignored.follow(rules(allows_reserved=before), rules(allows_reserved=after))
        ignored.follow(rules(), rules())
        assert type(ignored.checked([ONE])) is MixedRun
