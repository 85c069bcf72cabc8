"""Calico's selectors and labels, drawn so that they often meet."""

from hypothesis import strategies as st

NAMES = ("a", "b", "rr", "in", "notin", "x.y/role", "has", "Bad_Prefix/a", "a..b", "-a")
VALUES = ("", "1", "2", "true", "in", "a b", "-", "a_b.c", "x" * 63, "x" * 64)
KUBERNETES_NAMES = ("a", "b", "rr", "in", "notin", "x.y/role", "has", "a..b")
KUBERNETES_VALUES = ("", "1", "2", "true", "in", "a_b.c", "x" * 63)

kubernetes_labels = st.dictionaries(
    st.sampled_from(KUBERNETES_NAMES), st.sampled_from(KUBERNETES_VALUES), max_size=4
)
_names = st.sampled_from(NAMES)
_quoted = st.sampled_from(VALUES).map(lambda text: f"'{text}'")
_sets = st.lists(_quoted, max_size=3).map(lambda some: "{" + ", ".join(some) + "}")
_terms = st.one_of(
    st.builds("{} {} {}".format, _names, st.sampled_from(("==", "!=")), _quoted),
    st.builds("{} {} {}".format, _names, st.sampled_from(("in", "not in")), _sets),
    st.builds(
        "{} {} {}".format,
        _names,
        st.sampled_from(("contains", "starts with", "ends with")),
        _quoted,
    ),
    st.builds("{}has({})".format, st.sampled_from(("", "!")), _names),
    st.sampled_from(("all()", "!all()", "global()")),
)
selectors = st.recursive(
    _terms,
    lambda inner: st.one_of(
        st.builds(
            "({})".format,
            st.lists(inner, min_size=2, max_size=3).map(" && ".join),
        ),
        st.builds(
            "({})".format,
            st.lists(inner, min_size=2, max_size=3).map(" || ".join),
        ),
        inner.map("!({})".format),
    ),
    max_leaves=6,
)
