"""Objects of several collections, the choice of their group, and lists as they arrive."""

import json
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.keys import affinity_key
from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3
from bgpd.datastore.kubernetes.errors import ApiError, Unreadable
from bgpd.datastore.kubernetes.groups import Readiness, choose, groups_of, is_ready
from bgpd.datastore.kubernetes.items import MAX_WARNINGS, Items
from bgpd.datastore.kubernetes.lists import ListDecoder
from bgpd.texts.json_text import load
from bgpd.texts.limits import ANSWER
from tests.support.kubernetes_objects import NOISE, block_affinity

CIDR = "10.244.0.0/26"
KEY = affinity_key("n1", CIDR)


def affinity(state: str = "confirmed", node: str = "n1", cidr: str = CIDR, **spec):
    return block_affinity(node, cidr, state, GROUP_V1, **spec)


class TestItems:
    def test_equal_routes_are_not_a_change(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity())
        puts, deletes = items.drain()
        assert (set(puts), set(deletes)) == ({KEY}, set())
        items.put("a", "BlockAffinity", "x", affinity() | {"metadata": {"name": "x"}})
        assert items.drain() == ({}, frozenset())

    def test_an_object_is_there_as_long_as_one_collection_has_it(self) -> None:
        items = Items()
        items.put("unlabelled", "BlockAffinity", "x", affinity())
        items.put("own", "BlockAffinity", "x", affinity())
        items.drain()
        items.drop("unlabelled", "BlockAffinity", "x")
        assert items.drain() == ({}, frozenset())
        items.drop("own", "BlockAffinity", "x")
        assert items.drain() == ({}, frozenset({KEY}))
        items.drop("own", "BlockAffinity", "x")
        assert items.drain() == ({}, frozenset())

    def test_a_key_of_two_objects_stays_when_one_of_them_goes(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity("confirmed"))
        items.put("a", "BlockAffinity", "y", affinity("pending"))
        assert (
            json.loads(items.values[KEY])["state"] == "confirmed"
        )  # the first by name
        items.drain()
        items.drop("a", "BlockAffinity", "x")
        puts, deletes = items.drain()
        assert json.loads(puts[KEY])["state"] == "pending"
        assert not deletes

    def test_what_goes_and_comes_between_two_looks_is_a_put(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity())
        items.drain()
        items.drop("a", "BlockAffinity", "x")
        items.put("a", "BlockAffinity", "x", affinity("pending"))
        puts, deletes = items.drain()
        assert (set(puts), set(deletes)) == ({KEY}, set())

    def test_an_object_that_is_being_deleted_is_gone(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity())
        items.drain()
        items.put("a", "BlockAffinity", "x", affinity(deleted="true"))
        assert items.drain() == ({}, frozenset({KEY}))

    def test_an_object_may_come_to_mean_another_key(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity())
        items.drain()
        items.put("a", "BlockAffinity", "x", affinity(node="n2"))
        puts, deletes = items.drain()
        assert (set(puts), set(deletes)) == ({affinity_key("n2", CIDR)}, {KEY})

    def test_what_cannot_be_read_leaves_what_was(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "x", affinity())
        items.drain()
        items.put("a", "BlockAffinity", "x", affinity(deleted="perhaps"))
        assert items.drain() == ({}, frozenset())
        (line,) = items.warnings()
        assert line.startswith("BlockAffinity x: spec.deleted is 'perhaps'")
        assert line.endswith("what it said before holds")
        items.put("a", "BlockAffinity", "x", affinity())
        assert not items.warnings()

    def test_a_bad_object_costs_no_other_anything(self) -> None:
        items = Items()
        items.put("a", "BlockAffinity", "bad", affinity(cidr="x"))
        items.put("a", "BlockAffinity", "good", affinity())
        assert items.values.keys() == {KEY}
        items.drop("a", "BlockAffinity", "bad")
        assert not items.warnings()

    def test_warnings_are_bounded(self) -> None:
        items = Items()
        for number in range(MAX_WARNINGS + 5):
            items.put("a", "BlockAffinity", f"b{number}", affinity(cidr="x"))
        lines = items.warnings()
        assert len(lines) == MAX_WARNINGS + 1
        assert lines[-1] == "and 5 objects more"

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),  # collection
                st.sampled_from("xy"),  # object
                st.sampled_from(("confirmed", "pending", "deleted", "bad", None)),
                st.booleans(),  # look at what has changed
            )
        )
    )
    def test_changes_add_up_to_what_there_is(self, steps) -> None:
        items, known = Items(), dict[str, bytes]()
        for collection, name, state, looks in steps:
            if state is None:
                items.drop(collection, "BlockAffinity", name)
            else:
                more = {"deleted": {"deleted": "true", "bad": "?"}.get(state, "false")}
                items.put(collection, "BlockAffinity", name, affinity(state, **more))
            if looks:
                puts, deletes = items.drain()
                assert not puts.keys() & deletes
                known = {k: v for k, v in (known | puts).items() if k not in deletes}
                assert known == items.values


def listed(*names: str) -> frozenset[str]:
    return groups_of({"groups": [{"name": name} for name in names]})


class TestGroups:
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ({}, set()),
            ({"groups": None}, set()),
            ({"groups": ["x", {"name": 1}, {}]}, set()),
            ({"groups": [{"name": "apps"}]}, set()),
            ({"groups": [{"name": "crd.projectcalico.org"}]}, {GROUP_V1}),
            ({"groups": [{"name": "projectcalico.org"}]}, {GROUP_V3}),
        ],
    )
    def test_which_there_are(self, content, found) -> None:
        assert groups_of(content) == found

    @pytest.mark.parametrize("current", [None, GROUP_V1, GROUP_V3])
    def test_the_only_one_is_read(self, current) -> None:
        assert choose(listed("crd.projectcalico.org"), Readiness(), current) == GROUP_V1
        assert choose(listed("projectcalico.org"), Readiness(), current) == GROUP_V3

    @pytest.mark.parametrize("current", [None, GROUP_V1, GROUP_V3])
    def test_without_any_nothing_is_guessed(self, current) -> None:
        assert choose(frozenset(), Readiness(), current) == current

    @pytest.mark.parametrize(
        ("v1", "v3", "current", "chosen"),
        [
            (None, None, None, GROUP_V1),
            (True, None, None, GROUP_V1),
            (True, True, None, GROUP_V1),
            (True, False, GROUP_V3, GROUP_V1),
            (False, True, GROUP_V1, GROUP_V3),
            (None, True, None, GROUP_V3),
            (False, False, GROUP_V1, GROUP_V1),
            (False, None, GROUP_V1, GROUP_V1),
            (False, False, None, None),
            (None, False, None, GROUP_V1),
        ],
    )
    def test_of_both_the_one_that_is_ready(self, v1, v3, current, chosen) -> None:
        both = listed("crd.projectcalico.org", "projectcalico.org")
        assert choose(both, Readiness(v1, v3), current) == chosen

    @pytest.mark.parametrize(
        ("content", "ready"),
        [
            (None, None),
            ({}, None),
            ({"spec": []}, None),
            ({"spec": {"datastoreReady": "true"}}, None),
            ({"spec": {"datastoreReady": True}}, True),
            ({"spec": {"datastoreReady": False}}, False),
        ],
    )
    def test_what_a_cluster_says_of_itself(self, content, ready) -> None:
        assert is_ready(content) is ready


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.just("items"), inner, max_size=4)
    ),
    max_leaves=12,
)
SPACES = st.sampled_from(["", " ", "\n\t"])


class TestLists:
    BODY = json.dumps(
        {
            "kind": "NodeList",
            "metadata": {"resourceVersion": "77", "continue": ""},
            "items": [
                {"metadata": {"name": f"n{number}", **NOISE}, "spec": {"x": 1.5}}
                for number in range(20)
            ],
        }
    ).encode()

    @given(st.lists(st.integers(0, len(BODY)), max_size=8))
    def test_how_it_arrives_never_matters(self, cuts) -> None:
        decoder, found = ListDecoder(), []
        marks = [0, *sorted(cuts), len(self.BODY)]
        for start, end in pairwise(marks):
            found += decoder.feed(self.BODY[start:end])
        assert decoder.finish() == "77"
        assert found == json.loads(self.BODY)["items"]

    @given(
        st.lists(VALUES, max_size=8),
        st.lists(st.integers(0, 4000), max_size=8),
        st.integers(0, 3000),
        SPACES,
        st.booleans(),
    )
    def test_any_objects_are_those_of_the_library(
        self, values, cuts, tried, space, is_ascii
    ) -> None:
        items = [
            value if isinstance(value, dict | str) else {"metadata": value}
            for value in values
        ]
        text = json.dumps(
            {
                "metadata": {"resourceVersion": "5"},
                "items": items,
                "more": {"items": [{}]},
            },
            ensure_ascii=is_ascii,
            separators=(f"{space},{space}", f":{space}"),
        )
        body = text.encode("utf-8", "replace")
        with pytest.MonkeyPatch.context() as patch:
            # Objects that are tried, and objects that are scanned.
            patch.setattr("bgpd.datastore.kubernetes.lists.TRIED", tried)
            decoder, found = ListDecoder(), []
            marks = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
            for start, end in pairwise(marks):
                found += decoder.feed(body[start:end])
            assert decoder.finish() == "5"
        wanted = [load(json.dumps(each), ANSWER).value for each in items]
        assert found == [each for each in wanted if isinstance(each, dict)]

    def test_an_object_of_megabytes_is_read(self) -> None:
        large = {"metadata": {"name": "x"}, "spec": {"data": ['[{"' * 9] * 20_000}}
        body = json.dumps(
            {"items": [{}, large, {}], "metadata": {"resourceVersion": "5"}}
        )
        decoder, found = ListDecoder(), []
        for start in range(0, len(body), 1 << 16):
            found += decoder.feed(body[start : start + (1 << 16)].encode())
        assert (found, decoder.finish()) == ([{}, large, {}], "5")

    def test_the_version_may_come_last(self) -> None:
        decoder = ListDecoder()
        found = decoder.feed(b'{"items": [{"a": 1}, 7], "metadata": ')
        decoder.feed(b'{"resourceVersion": "8"}}')
        assert (found, decoder.finish()) == ([{"a": 1}], "8")

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"",
            b'{"items": [{"a": 1}',
            b"[]",
            b"{}",
            b'{"metadata": {"resourceVersion": 8}, "items": []}',
            b'{"metadata": 7, "items": {}}',
            b'{"items": [\xff]}',
            b"[" * 100_000,
            b'{"metadata": {"resourceVersion": "8"}, "items": []} and more',
            b'{"metadata": {"resourceVersion": "8"}, "items": []} "more"',
            b'{"metadata": {"resourceVersion": "8"}, "items": []}{}',
            b'{"items": [{"a": nonsense}]}',
            b'{"items": [{"a": NaN}]}',
            b'{"items": [{"a": 1' + b"0" * 50 + b"}]}",
            b'{"items": [' + b'{"a": ' * 5000 + b"1" + b"}" * 5000 + b"]}",
            b'{"metadata": {"resourceVersion": "8"}, "items": []}\xc3',
            b"}",
        ],
    )
    def test_an_answer_that_is_not_a_list_is_an_error(self, body) -> None:
        def decode() -> None:
            decoder = ListDecoder()
            decoder.feed(body)
            decoder.finish()

        with pytest.raises(ApiError, match="what came"):
            decode()

    @pytest.mark.parametrize(
        ("spec", "problem"),
        [
            ('{"text": "' + "x" * (2 << 20) + '"}', "octets; the limit is 2097152"),
            ('{"text": "' + "\\\\" * (2 << 20) + '"}', "has over 2097152 characters"),
            ("[" * 2000 + "]" * 2000, "levels deep"),
            ("[" * 64 + "]" * 64, "levels deep"),
            ("[" + "0," * 100_000 + "0]", "values; the limit is"),
            ("NaN", "NaN is not a JSON value"),
            ("nonsense", "is not JSON"),
            ("9" * 100, "a number of 100 digits"),
        ],
        ids=[
            "large",
            "escaped",
            "deep",
            "a-level-too-deep",
            "many",
            "nan",
            "nonsense",
            "number",
        ],
    )
    @pytest.mark.parametrize("size", [4096, 65536])
    def test_an_object_that_cannot_be_read_costs_no_other_anything(
        self, spec, problem, size
    ) -> None:
        bad = '{"metadata": {"name": "bad"}, "spec": ' + spec + "}"
        items = (
            f'{{"metadata": {{"name": "a"}}}}, {bad}, {{"metadata": {{"name": "b"}}}}'
        )
        body = f'{{"items": [{items}], "metadata": {{"resourceVersion": "8"}}}}'
        octets = body.encode()
        decoder, found = ListDecoder(), []
        skipped: list[Unreadable] = []
        for start in range(0, len(octets), size):
            found += decoder.feed(octets[start : start + size])
            skipped += decoder.drain_unreadable()
        found += decoder.feed(b"", is_last=True)
        skipped += decoder.drain_unreadable()
        assert decoder.finish() == "8"
        assert [each["metadata"]["name"] for each in found] == ["a", "b"]
        (unreadable,) = skipped
        assert unreadable.name == "bad"
        assert problem in unreadable.problem

    @pytest.mark.slow
    def test_what_never_ends_keeps_no_more_than_one_object(self) -> None:
        for start in (
            b'{"items": [{"a": "',
            b'{"a": "',
            b'{"a": ',
            b'{"items": [{"a": ',
        ):
            decoder = ListDecoder()
            decoder.feed(start)
            for filler in (b"x", b" ", b"\\"):
                for _ in range(200):
                    decoder.feed(filler * 16384)
            assert sys.getsizeof(decoder._buffer) < 3 << 20
            with pytest.raises(ApiError, match="not whole"):
                decoder.finish()

    @given(
        st.lists(
            st.tuples(
                st.integers(0, len(BODY)), st.integers(0, 3), st.binary(max_size=3)
            ),
            max_size=4,
        )
    )
    def test_a_list_that_was_mutated_is_read_or_refused(self, mutations) -> None:
        body = self.BODY
        for place, length, octets in mutations:
            body = body[:place] + octets + body[place + length :]
        decoder, found = ListDecoder(), []
        try:
            for start in range(0, len(body), 100):
                found += decoder.feed(body[start : start + 100])
            found += decoder.feed(b"", is_last=True)
            decoder.finish()
        except ApiError as error:
            assert str(error).startswith("what came")  # noqa: PT017  # or it is read
        assert len(found) <= 20 + len(mutations)
