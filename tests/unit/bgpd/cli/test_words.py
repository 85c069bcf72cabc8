import itertools

import click
import pytest
from click.testing import CliRunner

from bgpd.cli.control import main
from bgpd.cli.foreign_words import MAIN_PHRASES, SHOW_PHRASES
from bgpd.cli.words import WordGroup
from tests.support.cases import cases


def command_of(*words: str) -> tuple[str, list[str]]:
    """Return the command that words lead to, and what is left for it."""
    context = click.Context(main, info_name="pybgpctl")
    group: WordGroup = main
    args = list(words)
    path = []
    while True:
        name, command, args = group.resolve_command(context, args)
        path.append(name or "")
        if not isinstance(command, click.Group):
            return " ".join(path), args
        assert isinstance(command, WordGroup)
        group = command


@cases(
    ("typed", "path", "args"),
    [
        ("sh pe", "show peers", []),
        ("show pee one", "show peers", ["one"]),
        ("sho stat", "show status", []),
        ("res one", "reset", ["one"]),
        ("enable one", "enable-peer", ["one"]),
        ("disable one", "disable-peer", ["one"]),
        ("show neighbors", "show peers", []),
        ("show neighbor", "show peers", []),
        ("show nei one", "show peers", ["one"]),
        ("show protocols", "show peers", []),
        ("show proto -o json", "show peers", ["-o", "json"]),
        ("show protocols all", "show peers", ["-o", "wide"]),
        ("show protocols all one", "show peers", ["one"]),
        ("show summary", "show peers", []),
        ("show bgp summary", "show peers", []),
        ("sh bgp sum", "show peers", []),
        ("show ip bgp summary", "show peers", []),
        ("show bgp ipv6 unicast summary", "show peers", []),
        ("show bgp ipv6 unicast", "show routes", ["--family", "ipv6"]),
        ("show bgp", "show routes", []),
        ("show bgp 10.0.0.0/8", "show route", ["10.0.0.0/8"]),
        ("show bgp neighbors one", "show peers", ["one"]),
        (
            "show ip bgp neighbors one advertised-routes",
            "show routes",
            ["--advertised-to", "one"],
        ),
        (
            "show bgp community 65000:1",
            "show routes",
            ["--community", "65000:1"],
        ),
        ("show route for 10.0.0.1", "show route", ["10.0.0.1"]),
        ("show route export one", "show routes", ["--advertised-to", "one"]),
        ("show route protocol one", "show routes", ["--peer", "one"]),
        ("show route", "show routes", []),
        ("show ro --best", "show routes", ["--best"]),
        ("show ro 10.0.0.0/8", "show route", ["10.0.0.0/8"]),
        ("show route 10.0.0.0/8 --lpm", "show route", ["10.0.0.0/8", "--lpm"]),
        ("show rib out neighbor one", "show routes", ["--advertised-to", "one"]),
        ("neighbor", "show peers", []),
        ("neighbor one", "show peers", ["one"]),
        ("neighbor one adj-out", "show routes", ["--advertised-to", "one"]),
        ("neighbor one down", "disable-peer", ["one"]),
        ("summary", "show peers", []),
        ("protocols all one", "show peers", ["one"]),
        ("global rib", "show routes", []),
        ("clear bgp one soft in", "reset", ["--soft-in", "one"]),
        ("clear bgp one", "reset", ["one"]),
        ("clear ip bgp one out", "reset", ["--soft-out", "one"]),
        ("restart one", "reset", ["one"]),
        ("reload in one", "reset", ["--soft-in", "one"]),
        ("reload", "reload", []),
        ("configure", "reload", []),
        ("down --yes", "shutdown", ["--yes"]),
    ],
)
def test_short_words_and_words_of_other_programs_lead_to_a_command(typed, path, args):
    assert command_of(*typed.split()) == (path, args)


def test_every_phrase_leads_to_a_command_that_takes_its_words():
    for typed, group in itertools.chain(
        ((phrase.typed, ()) for phrase in MAIN_PHRASES),
        ((phrase.typed, ("show",)) for phrase in SHOW_PHRASES),
    ):
        words = [w.replace("*", "10.0.0.1") for w in typed.split() if w != "$"]
        path, _ = command_of(*group, *words)
        assert path, typed


def test_an_ambiguous_word_is_answered_with_what_it_may_mean():
    result = CliRunner().invoke(main, ["re", "one"])
    assert result.exit_code == 2
    assert "'re' is ambiguous: reload, reset" in result.stderr


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["shwo", "peers"], "show"),
        (["show", "peesr"], "peers"),
        (["show", "statsu"], "status"),
        (["peers"], "show peers"),
        (["resett", "one"], "reset"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest_command(words, near):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"did you mean {near}" in result.stderr


def test_a_word_like_nothing_is_answered_with_the_commands():
    result = CliRunner().invoke(main, ["xyzzy"])
    assert result.exit_code == 2
    assert "commands: apply, calico, capture, confirm, disable-peer" in result.stderr


def test_what_stops_the_daemon_is_never_meant_by_a_shorter_word():
    result = CliRunner().invoke(main, ["shut"])
    assert result.exit_code == 2
    assert "did you mean shutdown" in result.stderr
