"""Prose is plain English: no calques beyond those that are left, and no spelling mistakes."""

import sys

import pytest

from tests.support import commands, prose


def test_no_file_has_more_calques_than_it_had() -> None:
    left = prose.allowed()
    too_many = {
        name: [str(found) for found in prose.occurrences(name)]
        for name, number in prose.counts().items()
        if number > left.get(name, 0)
    }
    assert too_many == {}


def test_exceptions_only_shrink() -> None:
    before = {"a.py": 3, "b.py": 1, "c.py": 2}
    assert prose.shrunk(before, {"a.py": 5, "c.py": 1, "d.py": 4}) == {
        "a.py": 3,
        "c.py": 1,
    }


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ('"""Begin\n\nanew."""', 3, "anew"),
        ("x = 1  # Whoever\ny = 2", 1, "Whoever"),
        ("x = 1\n# it cannot\n# be had\n", 2, "cannot be had"),
        ('f"no {x} of ours"', 1, "of ours"),
        ("def test_it_is_told(): ...", 1, "is told"),
        ("class TestWhatIsNoPath: ...", 1, "Is No Path"),
        ("what = f'{x} is no name of a peer'", 1, "is no name"),
    ],
)
def test_calques_are_found_wherever_they_stand(text, line, phrase) -> None:
    (found,) = prose.find("x.py", text)
    assert (found.line, found.phrase) == (line, phrase)


@pytest.mark.parametrize(
    "text",
    ["There is no name left.", "It is no longer here.", "This is no reason to end."],
)
def test_idioms_pass(text: str) -> None:
    assert not [*prose.find("x.md", text)]


def test_code_is_not_prose() -> None:
    assert not [*prose.find("x.py", "anew = told(nobody)\n")]


def test_words_are_spelled_right() -> None:
    pytest.importorskip(
        "codespell_lib", reason="codespell is not installed: make check"
    )
    commands.run(sys.executable, "-m", "codespell_lib", timeout=100)
