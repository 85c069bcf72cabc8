"""Regular expressions of AS paths: what is taken, what is refused, and what a match costs."""

import re

import pytest

from rib.policy import pattern
from rib.policy.pattern import PathPattern
from rib.policy.pattern_syntax import MAX_DEPTH, MAX_SIZE, PatternError
from tests.support.cases import cases

PATH = "65001 65002 {65003,65004} (64512) [64513]"


@cases(
    ("text", "is_found"),
    [
        ("", True),
        ("65002", True),
        ("65009", False),
        ("^65001", True),
        ("^65002", False),
        ("^5001", False),
        ("64513]$", True),
        ("64513$", False),
        ("_65002_", True),
        ("_6500_", False),
        ("^_65001_65002_", True),
        ("_65001_65003_", False),
        (r"\{65003,65004\}", True),
        ("[{]65003,65004[}]", True),
        (r"\b6500[13]\b", True),
        (r"\b500[13]\b", False),
        (r"\B500[13]\b", True),
        (r"\A65001 ", True),
        (r"64513\]\Z", True),
        (r"^\d+ \d+ \{", True),
        (r"^\d+ \{", False),
        (r"\w\W\w", True),
        (r"\S\s\S", True),
        (r"\D\D\D", True),
        (r"\D\D\D\D", False),
        ("6500[^12]", True),
        ("6500[^1-4]", False),
        ("6500[]1]", True),
        (r"6500[\]2-]", True),
        (r"0[\d]1", True),
        (r"[!-\(]64512", True),
        ("[a-z]", False),
        ("x", False),
        ("(65001|65009) ", True),
        ("(?:65008|65009) ", False),
        ("(?P<first>65008|65001) ", True),
        ("(|65009) 65002", True),
        ("^(650[0-9]{2} ){2}", True),
        ("^(650[0-9]{2} ){3}", False),
        ("^(650[0-9]{2} ){1,3}{", True),
        ("^(650[0-9]{2} ){3,}", False),
        ("^(650[0-9]{2} ){,2}65002", True),
        ("60{2}1", False),
        ("650{2}1", True),
        ("650{3}1", False),
        ("650{0}0", True),
        ("^650*?1", True),
        ("^650+?2", False),
        ("(^|_)65002", True),
        ("(^)*65002", True),
        ("65001.65002", True),
        ("{}", False),
    ],
)
def test_expressions_match_as_usual(text, is_found) -> None:
    found = PathPattern(text)
    assert found.search(PATH) is is_found
    assert found.search(PATH) is is_found  # by what is remembered


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("^$", True), ("_", True), ("", True), ("x*", True), (".", False), (r"\b", False)],
)
def test_the_path_of_a_route_of_our_own_is_empty(text, is_found) -> None:
    assert PathPattern(text).search("") is is_found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(", "missing ), unterminated subpattern at position 0"),
        ("*", "nothing to repeat at position 0"),
        ("[0-", "unterminated character set at position 0"),
        ("(" * 5000, "maximum recursion depth exceeded"),
        ("0{99999999999}", "the repetition number is too large"),
        (r"(6500\d)\1", r"\1 is not supported at position 10"),
        (r"\x30", r"\x is not supported at position 2"),
        (r"[\b]", r"\b is not supported at position 3"),
        ("(?=65001)", "groups are (...) and (?:...); other kinds are not supported"),
        ("(?<!65001)", "groups are (...) and (?:...); other kinds are not supported"),
        ("(?i)65001", "groups are (...) and (?:...); other kinds are not supported"),
        ("[_ ]", "_ is not supported inside [...], at position 2"),
        ("0{2001}", "more than 2000 characters, with repeats expanded"),
        ("(0{50}1){40}", "more than 2000 characters, with repeats expanded"),
        ("0" * MAX_SIZE, "more than 2000 characters, with repeats expanded"),
        ("|" * MAX_SIZE, "more than 2000 characters, with repeats expanded"),
        ("(" * 51 + ")" * 51, "over 50 nested groups at position 51"),
    ],
)
def test_unsupported_patterns_are_errors(text: str, problem: str) -> None:
    with pytest.raises(PatternError, match=re.escape(problem)):
        PathPattern(text)


@pytest.mark.skipif(not hasattr(re, "NOFLAG"), reason="as of Python 3.11")
def test_possessive_repeats_are_not_supported() -> None:
    with pytest.raises(PatternError, match="possessive repeats are not supported"):
        PathPattern("65001*+")


def test_the_largest_expressions_are_taken() -> None:
    assert PathPattern("0" * (MAX_SIZE - 1)).search("0" * (MAX_SIZE - 1))
    assert not PathPattern("0" * (MAX_SIZE - 1)).search("0" * (MAX_SIZE - 2))
    nested = PathPattern("(" * MAX_DEPTH + "0" + ")" * MAX_DEPTH)
    assert nested.search("0")
    assert not nested.search("1")


@pytest.mark.parametrize(
    "text",
    [r"^(\d+ ?)+x", r"(\d*)*x", "(0|0)*x", "(.*)(.*)(.*)(.*)(.*)x", "(0?){30}0{30}x"],
)
def test_no_path_makes_a_match_long(text: str) -> None:
    """Each of these takes ``re`` longer than anybody waits; here they end at once."""
    found = PathPattern(text)
    assert not found.search("0" * 10_000)
    assert len(found._states) < 100


def test_states_are_forgotten_when_they_are_many(monkeypatch) -> None:
    monkeypatch.setattr(pattern, "MAX_STATES", 8)
    found = PathPattern("1[01]{5}$")  # 64 states, if all were kept
    for number in range(128):
        text = f"{number:b}"
        assert found.search(text) is bool(re.search("1[01]{5}$", text))
        assert len(found._states) <= 9
    assert len(found._moves) == len(found._numbers) == len(found._states)
