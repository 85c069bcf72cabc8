import pytest

from bgpd.calico.selectors import SelectorError, compile_selector, parse_selector
from tests.support.cases import cases

LABELS = {"rack": "a1", "role": "rr", "projectcalico.org/x": "", "in": "y"}


@cases(
    "text",
    [
        "",
        "  ",
        "all()",
        "global( )",
        "rack == 'a1'",
        'rack == "a1"',
        "rack=='a1'&&role=='rr'",
        "rack != 'b'",
        "missing != 'b'",
        "rack contains '1'",
        "rack starts with 'a'",
        "rack starts  with 'a'",
        "rack startswith 'a'",
        "rack starts\twith'a'",
        "rack ends with '1'",
        "rack endswith '1'",
        "in == 'y'",
        "in in{'y'}",
        "contains != 'x'",
        "notin notin {'x'}",
        "has(in) && !has( contains )",
        "rack in {\"'\", '\"', 'a1',}",
        "rack in {'a1', 'a2'}",
        "rack not in {'b1'}",
        "rack notin {'b1'}",
        "missing not in {'b1'}",
        "rack not in {}",
        "has(role)",
        "!has(missing)",
        "!!has(role)",
        "has(projectcalico.org/x) && projectcalico.org/x == ''",
        "has(missing) || has(role)",
        "has(missing) && has(missing) || has(role)",
        "has(role) || has(missing) && has(missing)",
        "!(has(missing) || rack == 'b')",
        "\thas(role)\t",
    ],
)
def test_matches(text: str) -> None:
    assert compile_selector(text)(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "rack == 'b'",
        "rack != 'a1'",
        "missing == 'a1'",
        "missing contains ''",
        "missing starts with ''",
        "missing in {'a1'}",
        "rack in {}",
        "has(missing)",
        "!all()",
        "!rack == 'a1'",
        "!" * 5000 + "has(a)",
        "(has(role) || has(rack)) && has(missing)",
    ],
)
def test_does_not_match(text: str) -> None:
    assert not compile_selector(text)(LABELS)


@cases(
    "text",
    [
        "rack",
        "rack ==",
        "rack == a1",
        "== 'a1'",
        "rack == 'a1",
        "has()",
        "has('a')",
        "has(a",
        "all(a)",
        "some()",
        "(has(a)",
        "has(a))",
        "has(a) &&",
        "has(a) has(b)",
        "rack in 'a1'",
        "rack in {'a1'",
        "rack in {'a1' 'b'}",
        "rack in {a1}",
        "rack ~ 'a'",
        "a\nb",
        "!",
        "(" * 5000 + ")" * 5000,
        "has (a)",
        "all ()",
        "rack in-x {'a1'}",
        "rack not {'a1'}",
        "rack in {,}",
        "rack = 'a1'",
        "has(a) & has(b)",
        "%",
        "()",
        "x" * 513 + " == 'a'",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(SelectorError):
        compile_selector(text)


def test_a_selector_is_bounded_and_read_in_one_pass() -> None:
    sound = " || ".join(["a == 'b'"] * 700)
    assert compile_selector(sound)({"a": "b"})
    with pytest.raises(SelectorError, match="10001 characters; the limit is 10000"):
        compile_selector("x" * 10_001)
    with pytest.raises(SelectorError) as caught:
        compile_selector("?" * 9_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all(", "'all(': expected ')' at the end"),
        ("has(a", "'has(a': expected ')' at the end"),
        ("(a == 'b'", "\"(a == 'b'\": expected ')' at the end"),
        ("a == 'b' &&", "\"a == 'b' &&\": expected a label name at the end"),
        ("a", "'a': expected an operator after 'a' at the end"),
        ("a = 'b'", "\"a = 'b'\": cannot read \"= 'b'\""),
        ("a == b", "'a == b': expected a quoted value, found 'b'"),
        ("a == 'b' c", "\"a == 'b' c\": unexpected 'c'"),
        ("a in 'b'", "\"a in 'b'\": expected '{', found \"'b'\""),
    ],
)
def test_an_error_names_the_selector_and_what_is_missing(
    text: str, expected: str
) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)
    assert str(caught.value) == expected
