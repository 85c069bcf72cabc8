import tracemalloc
from typing import Any

import pytest

from bgpd.texts.limits import CONFIGURATION, MANIFESTS, LimitError, Limits, TextError
from bgpd.texts.tree import MapNode, doubled_keys, place_of, plain
from bgpd.texts.yaml_text import CORE, STRICT, Scalars, compose
from tests.support.cases import cases

SMALL = Limits(1000, 100, 5)


def values(text: str, scalars: Scalars = CORE) -> Any:
    root = compose(text, CONFIGURATION, scalars)
    return None if root is None else plain(root)


@cases(
    ("text", "core", "strict"),
    [
        ("65000:10", "65000:10", "65000:10"),
        ("on", "on", "on"),
        ("2001-01-01", "2001-01-01", "2001-01-01"),
        ("010", 10, "010"),
        ("0x10", 16, "0x10"),
        ("1.10", 1.1, "1.10"),
        ("-7", -7, -7),
        ("True", True, "True"),
        ("true", True, True),
        ("~", None, None),
        ("", None, None),
        ("'1'", "1", "1"),
        ("! 1", "1", "1"),
        ("!!str 1", "1", "1"),
        ("!!int '7'", 7, 7),
        ("!!float 1", 1.0, 1.0),
        ("!!bool 'true'", True, True),
        ("!!null ''", None, None),
        ("!!seq [1]", [1], [1]),
        ("=", "=", "="),
    ],
)
def test_scalars_mean_what_their_rules_say(
    text: str, core: object, strict: object
) -> None:
    assert values(f"key: {text}") == {"key": core}
    assert values(f"key: {text}", STRICT) == {"key": strict}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!bool maybe", "'maybe' is neither true nor false"),
        ("!!int x", "'x' is not a whole number"),
        ("!!int 1_000", "'1_000' is not a whole number"),
        ("!!float x", "'x' is not a number"),
        ("!!float .inf", "'.inf' is not a number"),
        ("!!null x", "'x' is not null"),
        ("!!timestamp monday", "unsupported tag '!!timestamp'; !!str"),
        ("!!timestamp 2001-01-01", "tag '!!timestamp'"),
        ("!!binary '='", "tag '!!binary'"),
        ("!!set {a}", "tag '!!set'"),
        ("!!omap [a: 1]", "tag '!!omap'"),
        ("!!pairs [a: 1]", "tag '!!pairs'"),
        ("!!python/name:os.system x", "tag '!!python/name:os.system'"),
        ("!!python/object/apply:os.abort []", "tag '!!python/object/apply:os.abort'"),
        ("!mine x", "tag '!mine'"),
        ("!mine [x]", "tag '!mine'"),
        ("!<tag:yaml.org,2002:value> x", "tag '!!value'"),
        ("!!map [x]", "tag !!map does not fit"),
        ("!!seq {x: 1}", "tag !!seq does not fit"),
        ("!!seq x", "tag '!!seq'"),
        ("1" * 41, "a number of 41 digits; the limit is 40"),
        ("7" * 10_000, "a number of 10000 digits"),
        ("!!float 1e999", "the number '1e999' is too large"),
        ("*b", "no anchor 'b' before this alias"),
        ("&a [*a]", "alias 'a' refers to the value that contains it"),
        ("&a {b: {<<: *a}}", "alias 'a' refers to the value that contains it"),
        ("{<<: 1}", "<< needs a mapping"),
        ("{<<: [{a: 1}, 2]}", "<< needs a mapping"),
        ("{[1]: 2}", "a key must be a word"),
        ("[}", "not YAML"),
        ("'", "not YAML"),
        ("\x00", "the character U+0000 is not allowed"),
        ("\ufffe", "the character U+FFFE is not allowed"),
        ('"\\ud800"', "not YAML"),
    ],
)
@pytest.mark.parametrize("scalars", [CORE, STRICT])
def test_text_that_is_not_plain_yaml_is_an_error_with_its_line(
    text: str, said: str, scalars: Scalars
) -> None:
    with pytest.raises(TextError) as caught:
        compose(f"first: 1\nkey: {text}\n", CONFIGURATION, scalars)
    assert said in str(caught.value)
    assert caught.value.line in (2, 3)


def test_a_second_document_is_rejected() -> None:
    for text in ("a: 1\n---\nb: 2\n", "a: 1\n...\n---\nb: 2\n"):
        with pytest.raises(TextError, match="a second document"):
            compose(text, CONFIGURATION, CORE)


def test_own_keys_count_before_merged_ones_and_the_first_merged_before_others() -> None:
    text = "a: &a {x: 1, y: 1, z: 1}\nb: &b {<<: *a, y: 2}\nc: {z: 3, <<: [*b, *a], w: 3}\n"
    assert values(text)["c"] == {"x": 1, "y": 2, "z": 3, "w": 3}
    root = compose(text, CONFIGURATION, CORE)
    assert root is not None
    assert place_of(root, ("c", "y")).line == 2
    assert place_of(root, ("c", "nothing")).line == 3


def test_an_aliased_mapping_becomes_a_copy_each_time() -> None:
    data = values("a: &a {x: [1]}\nb: *a\n")
    data["a"]["x"].append(2)
    assert data["b"] == {"x": [1]}


def test_doubled_keys_are_found_with_both_places() -> None:
    root = compose("a:\n- {b: 1, c: 2, b: 3}\nd: &d {e: 1}\nf: *d\n", MANIFESTS, CORE)
    assert isinstance(root, MapNode)
    ((path, again, first),) = doubled_keys(root)
    assert path == ("a", 0, "b")
    assert (again.column, first.column) == (16, 4)


def bomb(levels: int, width: int = 10) -> str:
    return "\n".join(
        ["a0: &a0 [" + "x, " * width + "]"]
        + [f"a{n}: &a{n} [{f'*a{n - 1}, ' * width}]" for n in range(1, levels)]
    )


@pytest.mark.parametrize(
    "text",
    [
        bomb(9),
        bomb(500, 2),
        "a0: &a0 {x: 1, y: 2}\n"
        + "\n".join(
            f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)
        ),
        "a: &a '" + "x" * 100_000 + "'\nb: [" + "*a, " * 1_000 + "]",
        "a: " + "[" * 200_000,
        "a: " + "{a: " * 100_000,
        "- " * 200_000,
        "? " * 200_000,
        "[" + "x, " * 3_000_000,
        "- x\n" * 3_000_000,
    ],
    ids=[
        "aliases",
        "many-aliases",
        "merges",
        "texts",
        "lists",
        "mappings",
        "blocks",
        "keys",
        "flow",
        "block",
    ],
)
def test_no_text_unfolds_beyond_its_limits(text: str) -> None:
    """The tree that is made before the limit is met is small beside the text's own."""
    limits = Limits(16 << 20, 20_000, 32)
    tracemalloc.start()
    try:
        # Newer releases of libyaml stop at a depth of their own, a little sooner.
        with pytest.raises(TextError, match=r"the limit is|nested too deep"):
            compose(text, limits, CORE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


def test_limits_say_what_was_found() -> None:
    with pytest.raises(LimitError, match="has 1001 octets; the limit is 1000"):
        compose("x" * 1001, SMALL, CORE)
    with pytest.raises(LimitError, match="6 levels deep; the limit is 5"):
        compose("[" * 6 + "]" * 6, SMALL, CORE)
    with pytest.raises(LimitError, match="101 values up to here"):
        compose("[" + "x," * 100 + "]", SMALL, CORE)
    with pytest.raises(LimitError, match="1010 characters up to here"):
        compose(f"[&a {'x' * 505}, *a]", SMALL, CORE)
    deep = "a: &a [[[1]]]\nb: [[*a]]\n"
    with pytest.raises(LimitError, match="6 levels deep"):
        compose(deep, SMALL, CORE)


def test_what_is_within_limits_is_taken() -> None:
    assert values("[" * 32 + "]" * 32)
    root = compose("a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a}\n", MANIFESTS, CORE)
    assert root is not None
    # The whole, three keys; three values in a; a list of two of them; <<, and three again.
    assert root.nodes == 1 + 3 + 3 + (1 + 2 * 3) + (1 + 1 + 3)
    assert root.height == 3
