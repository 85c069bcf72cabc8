"""Expressions after ``where``, and anything else that a user may type into BIRD's socket."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bgpd.api.bird import Line, Session
from bgpd.show.bird import dialect
from bgpd.show.bird.commands import BirdCommands
from bgpd.show.bird.filters import MAX_DEPTH, Route, parse_filter
from bgpd.show.bird.tokens import QueryError, Tokens
from bgpd.show.bird.value_sets import IntervalSet, PathMask
from rib.family import IPV4_UNICAST
from tests.support.world import World

PATH_TEXT = "65001 65002 65002 65010"
WORDS = (
    *("net", "net.len", "net.ip", "net.type", "from", "gw", "proto", "source", "dest"),
    *("bgp_path", "bgp_path.last", "bgp_path.first", "bgp_path.len", "bgp_med"),
    *("bgp_community", "bgp_large_community", "bgp_ext_community", "bgp_local_pref"),
    *("bgp_origin", "bgp_next_hop", "ifname", "preference", "defined", "true", "false"),
    *("NET_IP4", "RTS_BGP", "RTD_UNICAST", "ORIGIN_IGP", "rt", "unknown", "10.0.0.0/8"),
    *("10.0.0.1", "2001:db8::/32", "::1", "65001", "0", "4294967296", "0x10", '"p*"'),
    *("'10.0.0.1'", "~", "!~", "=", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "("),
    *(")", "[", "]", "[=", "=]", "{", "}", ",", "*", "?", "+", "-", "..", ";"),
    *(
        "where",
        "all",
        "primary",
        "filtered",
        "count",
        "for",
        "in",
        "protocol",
        "export",
    ),
    *("noexport", "table", "master4", "master", "a", "b", "static1", "show", "route"),
    *("protocols", "symbols", "memory", "status", "interfaces", "\\", "$", "\x00", "é"),
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(
    max_size=60
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    peer = world.up("a", "192.0.2.1", 65001, import_policy="accept-all")
    world.announce(
        peer,
        *("10.1.0.0/24", "10.2.0.0/16"),
        as_path=PATH_TEXT,
        communities=(65000 << 16 | 1,),
    )
    world.up("b", "192.0.2.2")
    yield world
    world.close()


def answer(world: World, form: dialect.Dialect, command: str) -> list[Line]:
    commands = BirdCommands(world.view, form, is_read_only=True)
    lines = commands.answer(command, Session())
    return [line for line in lines if isinstance(line, Line)]


@given(text=TEXTS, is_second=st.booleans(), is_route=st.booleans())
@example(text="where net ~ [", is_second=True, is_route=True)
@example(text="where " + "(" * 400, is_second=True, is_route=True)
@example(text="where " + "!" * 900, is_second=False, is_route=True)
@example(text='"' * 7, is_second=False, is_route=False)
def test_any_command_has_an_answer_with_an_end(
    world: World, *, text: str, is_second: bool, is_route: bool
) -> None:
    form = dialect.second() if is_second else dialect.first(IPV4_UNICAST, "v1")
    lines = answer(world, form, f"show route {text}" if is_route else text)
    if text.strip().rstrip(";") or is_route:
        assert [line.is_last for line in lines] == [False] * (len(lines) - 1) + [True]
    assert all("\n" not in line.text for line in lines if line.code < 8000)


@given(
    path=st.lists(st.integers(1, 4), max_size=12),
    mask=st.lists(st.sampled_from(["*", "?", 1, 2, 3]), max_size=8),
)
def test_a_mask_matches_what_a_search_by_trial_finds(
    path: list[int], mask: list[str | int]
) -> None:
    def matches(asns: list[int], items: list[str | int]) -> bool:
        if not items:
            return not asns
        if items[0] == "*":
            return any(matches(asns[n:], items[1:]) for n in range(len(asns) + 1))
        return (
            bool(asns) and items[0] in ("?", asns[0]) and matches(asns[1:], items[1:])
        )

    sets = {"*": None, "?": IntervalSet([(0, 99)])}
    items = [sets[x] if isinstance(x, str) else IntervalSet([(x, x)]) for x in mask]
    assert PathMask(items).matches(path) is matches(path, mask)


def test_the_worst_mask_takes_one_step_for_each_as_number() -> None:
    ones = IntervalSet([(1, 1)])
    mask = PathMask([None, ones] * 150)
    assert not mask.matches([1] * 149 + [2] * 4000)
    assert mask.matches([1] * 4000)


@given(
    intervals=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted)),
    values=st.lists(st.integers(0, 60)),
)
def test_a_set_of_intervals_has_what_its_intervals_have(
    intervals: list[list[int]], values: list[int]
) -> None:
    some = IntervalSet([(low, high) for low, high in intervals])
    members = {n for low, high in intervals for n in range(low, high + 1)}
    assert [n for n in range(61) if n in some] == sorted(members)
    assert some.meets(sorted(values)) is bool(members & set(values))


def test_nesting_has_a_bound() -> None:
    deep = "(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH
    parse_filter(Tokens(deep))
    with pytest.raises(QueryError, match="nested too deeply"):
        parse_filter(Tokens(f"({deep})"))


def test_only_what_depends_on_the_prefix_is_asked_of_each(world: World) -> None:
    assert parse_filter(Tokens("net.len = 24 || bgp_path.len = 4")).is_of_net
    some = parse_filter(Tokens("bgp_path.len = 4 && !(bgp_med > 5)"))
    assert not some.is_of_net
    entry = next(iter(world.speaker.tables[IPV4_UNICAST].loc_rib.table.items()))
    nlri, path = entry
    assert some.accepts(Route(nlri, 4, path))  # type: ignore[arg-type]  # one path


@pytest.mark.parametrize("form", [dialect.second(), dialect.first(IPV4_UNICAST, "v1")])
def test_filtered_routes_are_shown_with_their_attributes(form: dialect.Dialect) -> None:
    world = World()
    try:
        peer = world.up("closed", "192.0.2.9", 65009)  # eBGP without a policy
        world.announce(peer, "10.9.0.0/16", as_path="65009")
        for query, number in (("", 1), ("protocol closed", 1), ("protocol static1", 0)):
            lines = answer(world, form, f"show route filtered {query}")
            assert sum("10.9.0.0/16" in line.text for line in lines) == number
        lines = answer(
            world, form, "show route filtered all where bgp_path.last = 65009"
        )
        assert any(line.text == "\tBGP.as_path: 65009" for line in lines)
        (count, *_) = answer(world, form, "show route filtered count")
        assert count.text.startswith("1 of 1 routes for 1 networks")
    finally:
        world.close()


def test_long_lists_of_communities_are_continued_on_further_lines(world: World) -> None:
    peer = world.speaker.peers["192.0.2.1"]
    many = tuple(65000 << 16 | number for number in range(300))
    world.announce(peer, "10.3.0.0/16", as_path=PATH_TEXT, communities=many)
    lines = answer(world, dialect.second(), "show route 10.3.0.0/16 all")
    assert max(len(line.text) for line in lines) < 1000
    joined = "".join(
        line.text.removeprefix("\tBGP.community: ").removeprefix("\t\t")
        for line in lines
        if line.text.startswith(("\tBGP.community", "\t\t"))
    )
    assert joined.count("(65000,") == 300


def test_two_names_that_differ_in_a_sign_are_two_protocols() -> None:
    world = World()
    try:
        for number, name in enumerate(("rr-1", "rr_1", "rr.1"), 1):
            world.peer(name, f"192.0.2.{number}")
        lines = answer(world, dialect.second(), "show protocols")
        names = {line.text.split()[0] for line in lines if " BGP " in line.text}
        assert len(names) == 3
        shown = answer(world, dialect.second(), "show protocols 'rr-1'")
        assert len(shown) == 3
    finally:
        world.close()


def test_no_pattern_of_names_takes_long(world: World) -> None:
    hard = "*a" * 400 + "b"
    lines = answer(world, dialect.second(), f'show route where proto ~ "{hard}" count')
    assert lines[-1].text.startswith("Total: 0 of ")
    lines = answer(world, dialect.second(), f'show protocols "{hard}"')
    assert lines[-1].text == "No protocols match"
