"""Label selectors find what Calico's selectors match; needed nodes are all that count."""

from dataclasses import replace
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import Snapshot
from bgpd.calico.keys import resource_key, split_resource_key
from bgpd.calico.label_selectors import (
    NoLabelSelectorError,
    is_matching,
    label_selectors,
)
from bgpd.calico.needed_nodes import NodeNeeds, filter_of, needed_nodes
from bgpd.calico.selectors import compile_selector
from bgpd.calico.state import ClusterState
from bgpd.datastore.manifests import item_of
from tests.support.calico_cases import Object, a_node, an_object, settings
from tests.support.selector_strategies import (
    kubernetes_labels,
    selectors,
)

NODES = ("n1", "n2", "n3", "n4", "n5")
OWN = "n1"


@given(selectors, kubernetes_labels)
def test_label_selectors_find_all_that_a_selector_matches(text, labels) -> None:
    try:
        found = label_selectors(text)
    except NoLabelSelectorError as error:
        event(str(error)[:30])
        return
    if compile_selector(text)(labels):
        assert any(is_matching(each, labels) for each in found), found


@given(
    st.lists(
        st.one_of(
            st.builds(
                "{} {} '{}'".format,
                st.sampled_from(("a", "b", "x.y/role")),
                st.sampled_from(("==", "!=")),
                st.sampled_from(("", "1", "2")),
            ),
            st.builds(
                "{} {} {{'1', '{}'}}".format,
                st.sampled_from(("a", "b", "x.y/role")),
                st.sampled_from(("in", "not in")),
                st.sampled_from(("", "1", "2")),
            ),
            st.sampled_from(("has(a)", "!has(b)")),
        ),
        min_size=1,
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(("a", "b", "x.y/role")), st.sampled_from(("", "1", "2"))
    ),
)
def test_a_conjunction_is_one_label_selector_that_matches_no_more(
    terms, labels
) -> None:
    text = " && ".join(terms)
    (found,) = label_selectors(text)
    assert is_matching(found, labels) is compile_selector(text)(labels)


_few_labels = st.dictionaries(
    st.sampled_from(("a", "b", "rr")), st.sampled_from(("1", "2")), max_size=3
)
_few_selectors = st.sampled_from(
    (
        "all()",
        "has(rr)",
        "!has(rr)",
        "a == '1'",
        "a != '1' && has(b)",
        "b in {'2'}",
        "?",
    )
)
_addresses = st.sampled_from([f"10.0.0.{number}" for number in (1, 2, 3, 4, 5, 9)])


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Object:
    more: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        more["routeReflectorClusterID"] = draw(st.sampled_from(("1.1.1.1", "2.2.2.2")))
    if draw(st.booleans()):
        more["asNumber"] = draw(st.sampled_from((64512, 65001)))
    if draw(st.integers(0, 5)) == 0:
        more["spec"] = {"wireguard": {"interfaceIPv4Address": "10.9.0.1"}}
    address = draw(st.one_of(st.just(f"10.0.0.{name[1:]}"), _addresses))
    return a_node(name, address, labels=draw(_few_labels), **more)


@st.composite
def peers(draw: st.DrawFn, number: int) -> Object:
    spec: dict[str, Any] = {}
    match draw(st.integers(0, 3)):
        case 0:
            spec["node"] = draw(st.sampled_from(NODES))
        case 1 | 2:
            spec["nodeSelector"] = draw(_few_selectors)
        case _:
            pass  # of all nodes
    if draw(st.booleans()):
        spec["peerSelector"] = draw(_few_selectors)
    else:
        port = draw(st.sampled_from(("", ":179", ":1790")))
        spec["peerIP"] = f"{draw(_addresses)}{port}"
        spec["asNumber"] = draw(st.sampled_from((64512, 65001)))
    if draw(st.booleans()):
        spec["reversePeering"] = draw(st.sampled_from(("Auto", "Manual")))
    return an_object("BGPPeer", f"p{number}", **spec)


@st.composite
def clusters(draw: st.DrawFn) -> list[Object]:
    found = [draw(nodes(name)) for name in NODES[: draw(st.integers(1, 5))]]
    found += [draw(peers(number)) for number in range(draw(st.integers(0, 4)))]
    default: dict[str, Any] = {"nodeToNodeMeshEnabled": draw(st.integers(0, 4)) == 0}
    if draw(st.booleans()):
        default["listenPort"] = draw(st.sampled_from((179, 1790)))
    found.append(settings(**default))
    if draw(st.booleans()):
        name = draw(st.sampled_from(NODES))
        found.append(settings(f"node.{name}", listenPort=1790))
    return found


def _items(objects: list[Object]) -> dict[str, bytes]:
    return dict(
        item_of({"apiVersion": "projectcalico.org/v3", **each}) for each in objects
    )


def _plan(items: dict[str, bytes]) -> NodeDesired:
    state = ClusterState()
    state.apply(Snapshot(1, items))
    return replace(state.desired(OWN), warnings=())


def _needs(items: dict[str, bytes]) -> NodeNeeds:
    """Return what is needed by what is known before any other Node is read."""
    state = ClusterState()
    own = resource_key("Node", OWN)
    state.apply(
        Snapshot(1, {k: v for k, v in items.items() if "/nodes/" not in k or k == own})
    )
    return needed_nodes(state.topology(), OWN)


@given(clusters())
def test_a_plan_is_the_same_whether_all_nodes_are_known_or_the_needed_ones(
    objects,
) -> None:
    items = _items(objects)
    needs = _needs(items)
    is_needed = filter_of(needs)
    known = {
        key: value
        for key, value in items.items()
        if (split_resource_key(key) or ("",))[0] != "Node" or is_needed(key, value)
    }
    event("all" if len(known) == len(items) else "some")
    assert _plan(known) == _plan(items)


@given(clusters(), clusters())
def test_needs_that_cover_others_include_every_node_that_those_name(one, other) -> None:
    first, second = (_needs(_items(some)) for some in (one, other))
    if not first.covers(second):
        return
    is_first, is_second = filter_of(first), filter_of(second)
    for key, value in (*_items(one).items(), *_items(other).items()):
        assert is_first(key, value) or not is_second(key, value)
