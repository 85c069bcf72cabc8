from dataclasses import fields, replace

import pytest

from bgpd.config.convert import to_settings
from bgpd.config.diff import (
    RESTARTS,
    SECTION_COSTS,
    Change,
    Step,
    StepKind,
    apply,
    diff,
    field_cost,
    step_fields,
)
from bgpd.config.document import parse_document
from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.config.validation import validate
from bgpd.session.settings import LIVE, REFRESHES, ChangeCost, PeerSettings

BASE = """
bgp: {as: 64512, router_id: 10.0.0.1}
peers:
  - {address: 10.0.0.2, as: 64512, import_policy: p}
  - {address: 10.0.0.3, as: 64512}
ranges:
  - {prefix: 10.1.0.0/16, as: 64512, client: on}
policies: {p: {default: accept}}
"""


def settings_of(text: str) -> DaemonSettings:
    config, problems = validate(parse_document(text, "f"))
    assert config is not None, problems
    return to_settings(config)


def plan(old: str, new: str) -> list[str]:
    before, after = settings_of(old), settings_of(new)
    steps = diff(before, after)
    assert apply(steps, before) == after
    return [str(step) for step in steps]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("10.0.0.2, as", "10.0.0.2, description: x, as", ["live"]),
        ("10.0.0.2, as", "10.0.0.2, password: x, as", ["live"]),
        ("10.0.0.2, as", "10.0.0.2, client: on, as", ["refreshes routes"]),
        ("10.0.0.2, as", "10.0.0.2, hold_time: 9, as", ["resets sessions"]),
        (
            "10.0.0.2, as",
            "10.0.0.2, families: [{name: ipv4-unicast, max_prefixes: 3}], as",
            ["live"],
        ),
        (
            "10.0.0.2, as",
            "10.0.0.2, families: [{name: ipv4-unicast, add_path_max: 3}], as",
            ["refreshes routes"],
        ),
        (
            "10.0.0.2, as",
            "10.0.0.2, families: [{name: ipv4-unicast, add_path: both}], as",
            ["resets sessions"],
        ),
        (
            "10.0.0.2, as",
            "10.0.0.2, families: [ipv4-unicast, ipv6-unicast], as",
            ["resets sessions"],
        ),
    ],
)
def test_a_peers_change_costs_what_bgp_demands(
    old: str, new: str, expected: list[str]
) -> None:
    text = BASE.replace(old, new, 1) if old else BASE
    assert [line.rpartition(": ")[2] for line in plan(BASE, text)] == expected


def test_the_order_of_families_is_not_worth_a_reset() -> None:
    with_both = BASE.replace(
        "10.0.0.2, as", "10.0.0.2, families: [ipv4-unicast, ipv6-unicast], as"
    )
    turned = BASE.replace(
        "10.0.0.2, as", "10.0.0.2, families: [ipv6-unicast, ipv4-unicast], as"
    )
    assert plan(with_both, turned) == ["change peer 10.0.0.2 (families): live"]


def test_peers_go_before_others_come_and_policies_outlive_their_users() -> None:
    new = (
        BASE.replace("10.0.0.2, as: 64512, import_policy: p", "10.0.0.4, as: 1")
        .replace("policies: {p:", "policies: {q:")
        .replace("10.0.0.3, as: 64512", "10.0.0.3, as: 64512, import_policy: q")
    )
    assert plan(BASE, new) == [
        "add policy q: live",
        "remove peer 10.0.0.2: resets sessions",
        "change peer 10.0.0.3 (import_policy): refreshes routes",
        "add peer 10.0.0.4: live",
        "remove policy p: live",
    ]


def test_a_changed_policy_refreshes_those_that_use_it() -> None:
    new = BASE.replace("default: accept", "default: reject")
    assert plan(BASE, new) == [
        "change policy p (default) for 10.0.0.2: refreshes routes"
    ]


def test_a_range_costs_its_peers_what_its_template_costs() -> None:
    new = BASE.replace("client: on", "client: off, limit: 9")
    assert plan(BASE, new) == [
        "change range 10.1.0.0/16 (limit, client): refreshes routes"
    ]


def test_our_as_number_resets_everything() -> None:
    lines = plan(BASE, BASE.replace("bgp: {as: 64512", "bgp: {as: 64513"))
    assert lines[0] == "change section bgp (as, defaults.local_as): resets sessions"
    assert all("resets sessions" in line for line in lines)
    assert len(lines) == 4


def test_what_is_live_says_so_and_what_is_not_waits_for_the_next_start() -> None:
    new = BASE + "log: {level: debug}\nfib: {table: 100}\nnode: {name: x}\n"
    assert sorted(plan(BASE, new)) == [
        "change section fib (table): at the next start",
        "change section log (level): live",
        "change section node (name): at the next start",
    ]


def test_a_step_carries_the_new_value() -> None:
    old = settings_of(BASE)
    new = replace(old, control_path="/x")
    assert diff(old, new) == [
        Step(
            StepKind.SECTION,
            Change.SET,
            "control_path",
            ChangeCost.LIVE,
            value="/x",
            needs_restart=True,
        )
    ]


def test_every_field_of_a_peer_has_a_cost() -> None:
    names = {each.name for each in fields(PeerSettings)}
    assert names >= LIVE
    assert names >= REFRESHES
    assert not LIVE & REFRESHES
    assert field_cost("hold_time") is ChangeCost.RESET


def test_the_tables_of_costs_name_fields_that_exist() -> None:
    sections = {each.name for each in fields(DaemonSettings)}
    assert sections >= RESTARTS
    speaker = {f"speaker.{each.name}" for each in fields(SpeakerSettings)}
    assert set(SECTION_COSTS) <= speaker


def test_a_step_names_what_it_is_about() -> None:
    peer = Step(StepKind.PEER, Change.REMOVE, "192.0.2.1", ChangeCost.RESET)
    assert step_fields(peer) == {"kind": "peer", "address": "192.0.2.1"}
    assert step_fields(replace(peer, range_name="racks"))["range"] == "racks"
    policy = Step(StepKind.POLICY, Change.SET, "in", ChangeCost.REFRESH)
    assert step_fields(policy) == {"kind": "policy", "policy": "in"}
    section = Step(StepKind.SECTION, Change.SET, "fib", ChangeCost.LIVE)
    assert step_fields(section) == {"kind": "section", "key": "fib"}
    assert step_fields(None) == {}
