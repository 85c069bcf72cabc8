"""Properties of settings: a difference leads where it says, and any text gives a result."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgpd.config.convert import sorted_peers, sorted_ranges, to_settings
from bgpd.config.diff import apply, diff
from bgpd.config.document import parse_document
from bgpd.config.environment import overlay_environment
from bgpd.config.model import DaemonConfig
from bgpd.config.settings import (
    DaemonSettings,
    FibSettings,
    LogSettings,
    MetricsSettings,
    RouteSettings,
)
from bgpd.config.validation import validate
from bgpd.session.settings import (
    AddPathMode,
    FamilySettings,
    PeerSettings,
    RangeSettings,
)
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.policy import PolicySpec

BASE = to_settings(DaemonConfig())
names = st.sampled_from(["", "a", "b", "c"])
families = st.lists(
    st.builds(
        FamilySettings,
        st.sampled_from([IPV4_UNICAST, IPV6_UNICAST]),
        st.sampled_from(AddPathMode),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda each: each.family,
).map(tuple)
peers: Any = st.builds(
    PeerSettings,
    name=names,
    remote_addr=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"]),
    remote_as=st.integers(0, 2),
    local_as=st.integers(1, 2),
    families=families,
    hold_time=st.sampled_from([9, 90]),
    is_client=st.booleans(),
    import_policy=names,
    password=names,
)
ranges = st.builds(
    RangeSettings,
    name=names,
    prefix=st.sampled_from(["10.0.0.0/8", "10.0.0.0/16", "::/0"]),
    limit=st.integers(1, 2),
    template=peers.map(lambda peer: replace(peer, remote_addr="")),
)
policies = st.builds(
    PolicySpec, st.sampled_from("abc"), accepts_unmatched=st.booleans()
)


@st.composite
def daemon_settings(draw: st.DrawFn) -> DaemonSettings:
    chosen_peers = draw(st.lists(peers, max_size=4, unique_by=lambda p: p.remote_addr))
    chosen_ranges = draw(st.lists(ranges, max_size=3, unique_by=lambda r: r.prefix))
    chosen_policies = draw(st.lists(policies, max_size=3, unique_by=lambda p: p.name))
    return replace(
        BASE,
        node_name=draw(names),
        speaker=replace(BASE.speaker, asn=draw(st.integers(0, 2))),
        peers=sorted_peers(chosen_peers),
        ranges=sorted_ranges(chosen_ranges),
        policies=tuple(sorted(chosen_policies, key=lambda each: each.name)),
        routes=RouteSettings(holds_cluster_routes=draw(st.booleans())),
        fib=FibSettings(table=draw(st.integers(1, 2))),
        control_path=draw(names),
        log=LogSettings(level=draw(st.sampled_from(["info", "debug"]))),
        metrics=MetricsSettings(port=draw(st.integers(0, 1))),
    )


@given(daemon_settings())
def test_settings_do_not_differ_from_themselves(settings: DaemonSettings) -> None:
    assert diff(settings, settings) == []


@given(daemon_settings(), daemon_settings())
def test_applying_the_difference_leads_to_the_other(
    old: DaemonSettings, new: DaemonSettings
) -> None:
    assert apply(diff(old, new), old) == new


@given(daemon_settings(), daemon_settings())
def test_every_step_of_a_plan_has_a_description(
    old: DaemonSettings, new: DaemonSettings
) -> None:
    lines = [str(step) for step in diff(old, new)]
    assert len(set(lines)) == len(lines)


keys = st.sampled_from(["bgp", "as", "peers", "address", "fib", "table", "terms", "x"])
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.floats()
)
values: st.SearchStrategy[Any] = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(DaemonConfig.model_fields)), values))
def test_any_values_give_a_model_or_problems(data: dict[str, object]) -> None:
    document = parse_document("", "f")
    document.data = data
    config, problems = validate(document)
    assert (config is None) == bool(problems)
    assert all(str(each).startswith("f: ") for each in problems)


@given(st.text(alphabet=st.sampled_from("ab:{}[]&*<-'\"|>!\n \t#,0~%@"), max_size=40))
def test_any_text_gives_a_document(text: str) -> None:
    document = parse_document(text, "f")
    overlay_environment(document, {"PYBGPD_FIB_TABLE": text})
    config, problems = validate(document)
    assert (config is None) == bool(problems)
