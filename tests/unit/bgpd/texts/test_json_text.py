import json

import pytest

from bgpd.texts.json_text import decode, load
from bgpd.texts.limits import VALUE, LimitError, Limits, TextError

SMALL = Limits(1000, 20, 4)


def test_values_are_those_of_the_library() -> None:
    content = {"a": [1, -2, 1.5, True, None, "é\n"], "b": {"c": {}}}
    assert load(json.dumps(content), VALUE).value == content
    assert (
        load(json.dumps(content, ensure_ascii=False).encode(), VALUE).value == content
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is not JSON: line 1: Expecting value"),
        (b"\n\n[1,]", "is not JSON: line 3"),
        (b"\xff", "is not JSON: not UTF-8 text: octet 0 is 0xff"),
        ("[1]".encode("utf-16"), "not UTF-8"),
        (b"[NaN]", "NaN is not a JSON value"),
        (b"[-Infinity]", "-Infinity is not a JSON value"),
        (b"[1e999]", "the number 1e999 is too large"),
        (b"[" + b"7" * 41 + b"]", "a number of 41 digits; the limit is 40"),
        (b"[" + b"7" * 100_000 + b"]", "a number of 100000 digits"),
        (b'["\x00"]', "is not JSON"),
        (b"{1: 2}", "is not JSON"),
        (b"[" * 9_000, "more than 64 levels deep"),
        (b'{"a":' * 4_000, "more than 64 levels deep"),
        (b"[" * 100_000, "has 100001 values; the limit is 10000"),
        (b"[" + b"1," * 100_000, "values; the limit is 10000"),
        (b"x" * (1 << 21), "has 2097152 octets; the limit is 262144"),
    ],
)
def test_text_that_is_not_json_is_an_error(text: bytes, said: str) -> None:
    with pytest.raises(TextError) as caught:
        load(text, VALUE)
    assert said in str(caught.value)


def test_brackets_in_texts_count_for_nothing() -> None:
    text = '["' + "[{,:" * 100 + '\\"[[["]'
    assert load(text, SMALL).value == [json.loads(text)[0]]
    with pytest.raises(LimitError, match="more than 4 levels"):
        load("[[[[[]]]]]", SMALL)
    assert load("[[[[]]]]", SMALL).value == [[[[]]]]
    with pytest.raises(LimitError, match="has 21 values"):
        load("[" + "1," * 19 + "1]", SMALL)


def test_a_duplicate_key_is_reported_and_the_last_counts() -> None:
    loaded = load('{"a": {"b": 1, "c": 2, "b": 3}, "d": 1, "d": 2}', VALUE)
    assert loaded.value == {"a": {"b": 3, "c": 2}, "d": 2}
    assert loaded.doubled == ("a.b", "d")
    text = '{"s": [{"x": 1}, {"y": 1, "y": 2, "y": 3}], "t": {"z": 1, "z": 2}, "t": {}}'
    assert load(text, VALUE).doubled == ("s.1.y", "t")
    many = "{" + ",".join(f'"k{n % 2000}": {n}' for n in range(4000)) + "}"
    assert len(load(many, VALUE).doubled) == 8


def test_halves_of_characters_can_be_written_afterwards() -> None:
    text = r'{"\ud800": ["x\udfff", "\ud83d\ude00"]}'
    assert load(text, VALUE).value == {"\ufffd": ["x\ufffd", "\U0001f600"]}
    assert load(text, VALUE, keeps_halves=True).value != load(text, VALUE).value


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert decode(b"\xef\xbb\xbfa: 1") == "a: 1"
    assert load(b"\xef\xbb\xbf[1]", VALUE).value == [1]
    with pytest.raises(TextError) as caught:
        decode(b"a\nbc\xe9")
    assert (caught.value.line, caught.value.column) == (2, 3)
