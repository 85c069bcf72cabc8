import pytest

from bgpd.config.document import format_path, parse_document, parse_scalar
from bgpd.config.errors import Origin


def test_values_and_keys_remember_their_line_and_column() -> None:
    document = parse_document("fib:\n  table: 300\n", "x.yaml")
    assert document.data == {"fib": {"table": 300}}
    assert str(document.origin_of(("fib", "table"))) == "x.yaml:2:10"
    assert str(document.origin_of(("fib", "table"), of_key=True)) == "x.yaml:2:3"


def test_what_stands_nowhere_is_placed_at_its_nearest_ancestor() -> None:
    document = parse_document("a:\n  b: {c: 1}\n", "x.yaml")
    assert document.origin_of(("a", "b", "d", 0)) == Origin("x.yaml", 2, 6)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("65000:10", "65000:10"),  # YAML 1.1: a number in base 60
        ("on", "on"),  # YAML 1.1: true
        ("2001-01-01", "2001-01-01"),  # YAML 1.1: a date
        ("010", 10),  # YAML 1.1: eight
        ("1_000", "1_000"),
        ("0x10", 16),
        ("true", True),
        ("~", None),
        ("1.5", 1.5),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_document(f"key: {text}", "x").data == {"key": value}
    assert parse_scalar(text) == value


@pytest.mark.parametrize("text", ["", "[", "a: b", "'", "\x00"])
def test_an_unknown_scalar_stays_text(text: str) -> None:
    assert parse_scalar(text) == text


def test_merged_keys_come_behind_own_ones() -> None:
    text = "base: &base {x: 1, y: 1}\nuser:\n  <<: *base\n  y: 2\n"
    document = parse_document(text, "f")
    assert document.data["user"] == {"x": 1, "y": 2}
    assert document.origin_of(("user", "y")).line == 4


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\na: 2\n", "f:2:1: a", "duplicate key; first on line 1"),
        ("a: [}\n", "f:1:5", "expected a value, found '}'"),
        ("- 1\n", "f:1:1", "expected a mapping"),
        ("? [1]\n: 2\n", "f:1:3", "a key must be a word"),
        ("a: 1\n---\nb: 2\n", "f:2:1", "a second document; expected one"),
        (
            "a: !!python/object:os.system 1\n",
            "f:1:4",
            "unsupported tag '!!python/object:os.system'",
        ),
        ("a: \x00\n", "f", "the character U+0000 is not allowed"),
        ("a: *b\n", "f:1:4", "no anchor 'b' before this alias"),
    ],
)
def test_broken_text_is_a_problem_with_its_place(
    text: str, where: str, what: str
) -> None:
    (problem,) = parse_document(text, "f").problems
    assert str(problem).startswith(where)
    assert what in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "\n".join(
            ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
            + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        ),
        "a: " + "[" * 200_000,
        "- " * 200_000,
    ],
)
def test_text_that_would_grow_without_end_is_rejected(text: str) -> None:
    assert parse_document(text, "f").problems


def test_paths_are_written_as_people_write_them() -> None:
    assert format_path(("peers", 2, "hold_time")) == "peers[2].hold_time"
    assert format_path(()) == ""


def test_what_comes_from_elsewhere_replaces_and_names_its_source() -> None:
    document = parse_document("bgp: 5\n", "f")
    document.put(("bgp", "listen", "port"), 1179, Origin("option --port"))
    assert document.data == {"bgp": {"listen": {"port": 1179}}}
    assert str(document.origin_of(("bgp", "listen", "port"))) == "option --port"
