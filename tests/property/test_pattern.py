"""AS path expressions match what ``re`` says they match, in whatever time that takes it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from rib.policy.pattern import PathPattern

BORDER = r"(?:^|$|[ ,(){}\[\]])"

atoms = st.sampled_from(
    (
        "0",
        "1",
        "65",
        " ",
        ".",
        "_",
        "^",
        "$",
        r"\b",
        r"\d",
        r"\W",
        r"\{",
        "[01]",
        "[^0]",
    )
)
repeats = st.sampled_from(("*", "+", "?", "*?", "{2}", "{0,2}", "{1,}", "{,1}", "{0}"))
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda parts: f"({'|'.join(parts)})"
        ),
        st.tuples(inner, repeats).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=8,
)
paths = st.text("0165 {,}[", max_size=12)


@given(expressions, st.lists(paths, min_size=1, max_size=5))
def test_a_match_is_the_one_of_re(text, tried) -> None:
    wanted, found = re.compile(text.replace("_", BORDER)), PathPattern(text)
    for path in tried:
        assert found.search(path) is bool(wanted.search(path)), path
