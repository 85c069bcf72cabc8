"""Which of BIRD's commands a shortened one means."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.cli.bird_commands import (
    AMBIGUOUS,
    ANSWERED,
    NO_SUCH_COMMAND,
    CommandError,
    expand,
)
from tests.support.cases import cases


@cases(
    ("short", "long"),
    [
        ("sh pr", "show protocols"),
        ("show protocol", "show protocols"),
        ("show protocol all Mesh_10_0_0_2", "show protocols all Mesh_10_0_0_2"),
        ("sh pro all", "show protocols all"),
        ("sh pro a x", "show protocols all x"),
        ("sh ro", "show route"),
        ("s r for 10.0.0.1 all", "show route for 10.0.0.1 all"),
        ("sh st", "show status"),
        ("sh int", "show interfaces"),
        ("sh in su", "show interfaces summary"),
        ("conf", "configure"),
        ("conf ch", "configure check"),
        ("do", "down"),
        ("dis tor", "disable tor"),
        ("rel i Mesh*", "reload in Mesh*"),
        ("rel tor", "reload tor"),
        ('resta "a b"', 'restart "a b"'),
        ("du a", "dump attributes"),
        ("restr", "restrict"),
        ("  show \t protocols  ", "show protocols"),
        ("?", "?"),
        ("q", "quit"),
        # BIRD has these, the daemon says that it does not.
        ("sh mem", "show memory"),
        ("conf tim 5", "configure timeout 5"),
    ],
)
def test_a_word_that_is_the_only_one_to_begin_so_is_meant(short: str, long: str):
    assert expand(short) == long


@pytest.mark.parametrize("text", ["r", "re", "d", "e", "res"])
def test_of_several_none_is_meant(text: str):
    with pytest.raises(CommandError, match=AMBIGUOUS) as caught:
        expand(text)
    said = str(caught.value).splitlines()[1:]
    assert len(said) > 1
    assert all(line.startswith(text) for line in said)


@pytest.mark.parametrize("text", ["", "sh", "show", "foo", "show foo", "SHOW status"])
def test_an_unknown_command_is_an_error(text: str):
    with pytest.raises(CommandError, match=NO_SUCH_COMMAND.split(".")[0]):
        expand(text)


def test_every_answered_command_means_itself_and_its_beginnings_it_or_a_longer_one():
    for text, _, _ in ANSWERED:
        assert expand(text) == text
        assert expand(f"{text} argument") == f"{text} argument"
        words = text.split()
        for cuts in product(*(range(1, len(word) + 1) for word in words)):
            short = " ".join(w[:n] for w, n in zip(words, cuts, strict=True))
            try:
                found = expand(short).split()
            except CommandError as error:
                assert str(error).startswith(AMBIGUOUS)  # noqa: PT017
                continue
            assert len(found) == len(words)
            assert all(
                f.startswith(s) for f, s in zip(found, short.split(), strict=True)
            )


@given(st.text("showrute palic?\t", max_size=24))
def test_what_is_expanded_once_stays(text: str) -> None:
    try:
        once = expand(text)
    except CommandError:
        return
    assert expand(once).split() == once.split()
