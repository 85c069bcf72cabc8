from dataclasses import replace

import pytest

from bgpd.config.convert import hashed_router_id, to_settings
from bgpd.config.document import parse_document
from bgpd.config.key_names import FIELD_OF_KEY
from bgpd.config.model import DaemonConfig
from bgpd.config.peers import PeerGroup
from bgpd.config.schema import keys_of
from bgpd.config.settings import (
    DaemonSettings,
    DatastoreKind,
    DirectSettings,
    FibSettings,
    LearnSettings,
    LogFormat,
    LogSettings,
    MetricsSettings,
    OriginatedRoute,
    RestartSettings,
)
from bgpd.config.validation import validate
from bgpd.node.identity import with_as
from bgpd.session.settings import (
    AddPathMode,
    AsClass,
    FamilySettings,
    LocalAsMode,
    NextHopMode,
    PeerSettings,
)
from rib.attributes import PrivateScope
from rib.attributes.community_patterns import EXTENDED, LARGE
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_prefix
from rib.path import SourceKind
from rib.policy import (
    Actions,
    Bounds,
    Match,
    NextHopRule,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    prefix_entry,
)


def settings_of(text: str, **secrets: str) -> DaemonSettings:
    config, problems = validate(parse_document(text, "f"))
    assert config is not None, problems
    return to_settings(config, secrets)


def test_an_empty_file_gives_the_defaults_of_the_settings_themselves() -> None:
    settings = to_settings(DaemonConfig())
    assert settings.fib == FibSettings()
    assert settings.log == LogSettings()
    assert settings.restart == RestartSettings()
    assert settings.metrics == MetricsSettings()
    assert settings.speaker.defaults == PeerSettings("", "", 0, 0)


def test_options_are_inherited_from_group_and_defaults() -> None:
    settings = settings_of("""
bgp: {as: 64512, defaults: {hold_time: 30, port: 1179, description: all}}
peer_groups: {edge: {as: 65001, hold_time: 9, description: edge}}
peers:
  - {address: 10.0.0.2, group: edge, description: own}
  - {address: 10.0.0.1, as: 64512}
""")
    assert settings.peers == (
        PeerSettings(
            "10.0.0.1",
            "10.0.0.1",
            64512,
            64512,
            hold_time=30,
            port=1179,
            description="all",
        ),
        PeerSettings(
            "10.0.0.2",
            "10.0.0.2",
            65001,
            64512,
            hold_time=9,
            port=1179,
            description="own",
            group="edge",
        ),
    )
    assert settings.speaker.defaults.hold_time == 30


@pytest.mark.parametrize(
    ("near", "far", "password"),
    [
        ("password: near", "password: far", "near"),
        ("password: near", "password_file: far", "near"),
        ("password_file: near", "password: far", "from near"),
        ("port: 1", "password_file: far", "from far"),
    ],
)
def test_the_nearest_password_counts_in_either_form(
    near: str, far: str, password: str
) -> None:
    settings = settings_of(
        f"bgp: {{as: 1, defaults: {{{far}}}}}\npeers: [{{address: '::1', as: 1, {near}}}]",
        near="from near",
        far="from far",
    )
    assert settings.peers[0].password == password
    assert password not in repr(settings)


def test_every_session_option_reaches_the_peer() -> None:
    settings = settings_of("""
bgp: {as: 64512}
peers:
  - address: fe80::1%eth0
    name: all
    as: 65001
    description: text
    local_as: 64513
    local_address: fe80::2
    interface: eth0
    port: 1179
    passive: on
    families:
      - ipv4-unicast
      - {name: ipv6-unicast, add_path: both, add_path_max: 2, max_prefixes: 9,
         max_prefixes_warning: 50}
    hold_time: 9
    keepalive_time: 3
    connect_retry_time: 4
    max_connect_retry_time: 11
    delay_open_time: 5
    send_hold_time: 6
    client: on
    cluster_id: 1.1.1.1
    next_hop: self
    ttl_security_hops: 1
    multihop_ttl: 7
    password: secret
    graceful_restart: off
    graceful_restart_time: 8
    long_lived_stale_time: 70000
    extended_message: off
    extended_next_hop: on
    role: rs-client
    role_strict: on
    import_policy: accept-all
    export_policy: reject-all
    allow_own_as: 2
    allow_as_set: on
    enforce_first_as: off
    local_as_mode: no-prepend
    dual_as: on
    as_override: on
    remove_private_as: leading
    replace_private_as: on
    same_domain: on
    discard_attributes: [99, aigp]
    withdraw_attributes: [Only-To-Customer]
    disable_capabilities: [hostname, route-refresh]
    default_originate: on
    default_originate_when: [10.0.0.0/8, {prefix: 11.0.0.0/8, le: 16}]
    default_originate_policy: accept-all
    connect_delay_time: 21
    idle_hold_time: 22
    max_idle_hold_time: 23
""")
    assert settings.peers == (
        PeerSettings(
            "all",
            "fe80::1%eth0",
            65001,
            64513,
            local_addr="fe80::2",
            interface="eth0",
            port=1179,
            is_passive=True,
            families=(
                FamilySettings(IPV4_UNICAST),
                FamilySettings(IPV6_UNICAST, AddPathMode.BOTH, 2, 9, 50),
            ),
            hold_time=9,
            keepalive_time=3,
            connect_retry_time=4,
            max_connect_retry_time=11,
            delay_open_time=5,
            send_hold_time=6,
            is_client=True,
            cluster_id="1.1.1.1",
            next_hop=NextHopMode.SELF,
            ttl_security_hops=1,
            multihop_ttl=7,
            password="secret",
            graceful_restart_time=8,
            has_graceful_restart=False,
            long_lived_stale_time=70000,
            has_extended_message=False,
            has_extended_next_hop=True,
            role="rs-client",
            is_role_strict=True,
            import_policy="accept-all",
            export_policy="reject-all",
            allow_own_as=2,
            allows_as_set=True,
            enforces_first_as=False,
            local_as_mode=LocalAsMode.NO_PREPEND,
            other_as=64512,
            overrides_as=True,
            remove_private_as=PrivateScope.LEADING,
            replaces_private_as=True,
            is_same_domain=True,
            discarded_attributes=frozenset({99, 26}),
            withdrawn_attributes=frozenset({35}),
            disabled_capabilities=frozenset({73, 2}),
            originates_default=True,
            default_when=PrefixMatch(
                (prefix_entry("10.0.0.0/8"), prefix_entry("11.0.0.0/8", le=16))
            ),
            default_policy="accept-all",
            connect_delay_time=21,
            idle_hold_time=22,
            max_idle_hold_time=23,
            description="text",
        ),
    )


@pytest.mark.parametrize("off", ["off", "false"])
def test_off_is_a_choice_as_it_is_a_switch(off: str) -> None:
    settings = settings_of(
        f"peers: [{{address: 10.0.0.1, as: 1, remove_private_as: {off}}}]"
    )
    assert settings.peers[0].remove_private_as is PrivateScope.NONE


def test_every_option_has_a_field_of_the_peer_and_every_field_an_option() -> None:
    keys = {FIELD_OF_KEY.get(key, key) for key in keys_of(PeerGroup)}
    fields = set(PeerSettings.__dataclass_fields__)
    assert keys - fields == {"password_file"}
    of_as = {"remote_as_class", "remote_as_ranges"}  # what `as` may come to
    assert fields - keys == {"name", "remote_addr", "group", "node", *of_as}


@pytest.mark.parametrize(
    ("written", "expected", "shown", "is_internal"),
    [
        ("65001", {"remote_as": 65001}, "65001", False),
        ("64512", {"remote_as": 64512}, "64512", True),
        ("0", {"remote_as": 0}, "any", None),
        (
            "internal",
            {"remote_as": 64512, "remote_as_class": AsClass.INTERNAL},
            "64512",
            True,
        ),
        ("external", {"remote_as_class": AsClass.EXTERNAL}, "external", False),
        (
            "[65010-65020, 65001, '1.10', 65001]",
            {
                "remote_as_ranges": ((65001, 65001), (65010, 65020), (65546, 65546)),
            },
            "65001, 65010-65020, 65546",
            False,
        ),
        ("64512-65534", {"remote_as_ranges": ((64512, 65534),)}, "64512-65534", None),
    ],
)
def test_as_numbers_of_ranges(written, expected, shown, is_internal) -> None:
    text = f"bgp: {{as: 64512}}\nranges: [{{prefix: 10.0.0.0/8, as: {written}}}]"
    template = settings_of(text).ranges[0].template
    plain = PeerSettings("10.0.0.0/8", "", 0, 64512)
    assert template == replace(plain, **expected)
    assert template.accepted_as == shown
    assert template.is_internal is is_internal


@pytest.mark.parametrize("written", ["internal", "external"])
def test_as_classes_where_our_as_comes_from_the_datastore(written: str) -> None:
    text = f"""
datastore: {{type: folder, path: a}}
peers: [{{address: 10.0.0.1, as: {written}}}]
ranges: [{{prefix: 10.0.0.0/8, as: {written}}}]
"""
    filled = with_as(settings_of(text), 64999)
    for each in (filled.peers[0], filled.ranges[0].template):
        assert each.accepts_as(64999) is (written == "internal")
        assert each.accepts_as(64998) is (written == "external")
        assert each.is_internal is (written == "internal")
        assert each.remote_as == (64999 if written == "internal" else 0)


def test_the_other_as_comes_from_the_datastore_where_it_knows_ours() -> None:
    text = """
datastore: {type: folder, path: a}
peers: [{address: 10.0.0.1, as: 1, local_as: 64900, dual_as: on}]
ranges: [{prefix: 10.0.0.0/8, as: 1, local_as: 64900, dual_as: on}]
"""
    written = settings_of(text)
    assert written.peers[0].other_as == 0
    filled = with_as(written, 64999)
    for each in (filled.peers[0], filled.ranges[0].template):
        assert (each.local_as, each.other_as) == (64900, 64999)
    without = with_as(settings_of(text.replace("dual_as: on", "dual_as: off")), 64999)
    for each in (without.peers[0], without.ranges[0].template):
        assert (each.local_as, each.other_as) == (64900, None)


def test_ranges_become_templates_without_address() -> None:
    settings = settings_of("""
bgp: {as: 64512}
ranges:
  - {prefix: 10.1.0.0/16, as: 0, limit: 3, client: on}
  - {name: nodes, prefix: 10.0.0.0/16, as: 64512}
""")
    second, first = settings.ranges
    assert (first.name, first.prefix, first.limit) == ("10.1.0.0/16", "10.1.0.0/16", 3)
    assert (first.template.remote_addr, first.template.remote_as) == ("", 0)
    assert first.template.is_client
    assert (second.name, second.template.remote_as) == ("nodes", 64512)


@pytest.mark.parametrize(
    ("name", "router_id"),
    [
        ("kube-master", "25.79.212.8"),
        ("node1", "202.18.243.27"),
        ("nodeTest", "109.174.215.226"),
        ("Testrobin123", "207.94.5.27"),
    ],
)
def test_the_hashed_router_id_is_the_one_of_calico(name: str, router_id: str) -> None:
    assert hashed_router_id(name) == router_id
    settings = settings_of(f"node: {{name: {name}}}\nbgp: {{router_id: hash}}")
    assert settings.speaker.router_id == router_id


def test_policies_become_the_cores_own_terms() -> None:
    settings = settings_of("""
policies:
  all:
    default: accept
    terms:
      - name: everything
        match:
          family: ipv4-unicast
          prefixes: [10.0.0.0/8, {prefix: 10.0.0.0/8, ge: 24, le: 26}]
          sources: [ebgp, kernel]
          communities: [no-export, "65000:10"]
          large_communities:
            {any: ["1:2:3"], all: ["1:*:*"], none: ["2:2:2"], exact: []}
          ext_communities: {none: ["rt:1:*", "rt:2:2"], exact: ["rt:3:*"]}
          origins: [igp, incomplete]
          as_path: _65001_
          as_path_prefix: [65002]
          neighbor_as: [0]
          origin_as: [65003]
          next_hops: [192.0.2.0/24]
          local_pref: 100
          med: {min: 5}
          interface: eth*
        set:
          origin: egp
          local_pref: 200
          med: 1
          next_hop: 192.0.2.1
          weight: 3
          prepend: [64512, 64512]
          communities: {set: [], remove: ["1:1"], add: ["1:2"]}
          large_communities: {set: ["4:5:6"], remove: ["1:1:*"], add: ["1:1:2"]}
          ext_communities: {set: ["rt:1:1"], remove: ["ro:1:1"], add: ["0x4004000000000001"]}
        action: next
      - action: reject
""")
    afi, nlri = parse_prefix("192.0.2.0/24")
    match = Match(
        prefixes=PrefixMatch(
            (prefix_entry("10.0.0.0/8"), prefix_entry("10.0.0.0/8", ge=24, le=26))
        ),
        family=IPV4_UNICAST,
        source_kinds=frozenset({SourceKind.EBGP, SourceKind.KERNEL}),
        interface="eth*",
        communities=frozenset({0xFFFFFF01, 65000 << 16 | 10}),
        large_communities=frozenset({(1, 2, 3)}),
        large_communities_all=frozenset({LARGE.parse("1:*:*")}),
        large_communities_none=frozenset({(2, 2, 2)}),
        large_communities_exact=frozenset(),
        ext_communities_none=frozenset(map(EXTENDED.parse, ("rt:1:*", "rt:2:2"))),
        ext_communities_exact=frozenset({EXTENDED.parse("rt:3:*")}),
        origins=frozenset({0, 2}),
        as_path_regex="_65001_",
        as_path_prefix=(65002,),
        neighbour_as=frozenset({0}),
        origin_as=frozenset({65003}),
        next_hops=PrefixMatch((PrefixEntry(afi, nlri, 24, 32),)),
        local_pref=Bounds(100, 100),
        med=Bounds(5, 0xFFFFFFFF),
    )
    actions = Actions(
        origin=1,
        local_pref=200,
        med=1,
        next_hop=bytes([192, 0, 2, 1]),
        weight=3,
        prepend=(64512, 64512),
        set_communities=(),
        remove_communities=frozenset({1 << 16 | 1}),
        add_communities=(1 << 16 | 2,),
        set_large_communities=((4, 5, 6),),
        remove_large_communities=frozenset({LARGE.parse("1:1:*")}),
        add_large_communities=((1, 1, 2),),
        set_ext_communities=(EXTENDED.parse("rt:1:1"),),
        remove_ext_communities=frozenset({EXTENDED.parse("ro:1:1")}),
        add_ext_communities=(0x4004000000000001,),
    )
    assert settings.policies == (
        PolicySpec(
            "all",
            (
                Term("everything", Outcome.NEXT, match, actions),
                Term("term 2", Outcome.REJECT),
            ),
            accepts_unmatched=True,
        ),
    )


@pytest.mark.parametrize("rule", NextHopRule)
def test_a_policy_names_a_next_hop_by_a_rule(rule: NextHopRule) -> None:
    text = f"{{action: accept, set: {{next_hop: {rule.value}}}}}"
    [policy] = settings_of(f"policies: {{p: {{terms: [{text}]}}}}").policies
    assert policy.terms[0].actions == Actions(next_hop=rule)


def test_the_other_sections_become_plain_settings() -> None:
    settings = settings_of(
        """
routes:
  originate:
    - {prefix: "2001:db8::/32", blackhole: on, next_hop: "2001:db8::1", local_pref: 5,
       med: 6, communities: ["1:2"], large_communities: ["1:2:3"], origin: incomplete,
       ext_communities: ["rt:1:2"], weight: 7, prepend: [65001, 65002]}
    - {prefix: 10.0.0.0/8}
  cluster: on
  learn: {enabled: on, protocols: [4, 3], interfaces: [cali*], prefixes: [10.0.0.0/8]}
  direct:
    interfaces: [lo, -eth*, "*"]
    families: [ipv6-unicast, ipv4-unicast]
    prefixes: [10.0.0.0/8]
fib: {mode: off, table: 5, protocol: 6, metric: 7, nexthop_objects: off, persist: off}
next_hops: {resolve: trust, default_route: off}
datastore: {type: etcd, endpoints: [a], username: u, password_file: file}
control: {path: ""}
log: {level: debug, format: json}
graceful_restart: {enabled: off, selection_deferral_time: 1, sweep_time: 2, stale_path_time: 3}
metrics: {listen: "[::1]:9179"}
""",
        file="secret",
    )
    four, six = settings.routes.originated
    assert four == OriginatedRoute(IPV4_UNICAST, parse_prefix("10.0.0.0/8")[1])
    assert six == OriginatedRoute(
        IPV6_UNICAST,
        parse_prefix("2001:db8::/32")[1],
        is_blackhole=True,
        next_hop=bytes.fromhex("20010db8000000000000000000000001"),
        local_pref=5,
        med=6,
        communities=(1 << 16 | 2,),
        large_communities=((1, 2, 3),),
        origin=2,
        ext_communities=(EXTENDED.parse("rt:1:2"),),
        weight=7,
        prepend=(65001, 65002),
    )
    assert settings.routes.holds_cluster_routes
    prefixes = ((IPV4_UNICAST, parse_prefix("10.0.0.0/8")[1]),)
    assert settings.routes.learn == LearnSettings(
        is_enabled=True, protocols=(3, 4), interfaces=("cali*",), prefixes=prefixes
    )
    assert settings.routes.direct == DirectSettings(
        ("lo", "-eth*", "*"), (IPV4_UNICAST, IPV6_UNICAST), prefixes
    )
    assert settings.fib == FibSettings(
        is_enabled=False,
        table=5,
        protocol=6,
        metric=7,
        uses_nexthop_objects=False,
        persist=False,
    )
    assert settings.trusts_next_hops
    assert not settings.resolves_by_default_route
    assert settings.datastore.kind is DatastoreKind.ETCD
    assert settings.datastore.password == "secret"
    assert settings.control_path == ""
    assert settings.log == LogSettings("debug", LogFormat.JSON)
    assert settings.restart == RestartSettings(
        is_enabled=False, selection_deferral_time=1, sweep_time=2, stale_path_time=3
    )
    assert settings.metrics == MetricsSettings("::1", 9179)


def test_routes_of_our_own_with_conditions() -> None:
    routes = settings_of("""
routes:
  originate:
    - {prefix: 10.0.0.0/8, aggregate: on, summary_only: on, blackhole: on}
    - {prefix: 0.0.0.0/0, fallback: on, when: [11.0.0.0/8, {prefix: 12.0.0.0/8, le: 9}]}
    - {prefix: 9.0.0.0/8, aggregate: on, when: [9.1.0.0/16]}
""").routes.originated
    default, nine, ten = sorted(routes, key=lambda route: route.nlri)
    ten_inside = PrefixMatch((PrefixEntry(1, ten.nlri, 9, 32),))
    assert (ten.when, ten.is_aggregate, ten.is_summary_only) == (ten_inside, True, True)
    assert nine.when == PrefixMatch((prefix_entry("9.1.0.0/16"),))
    assert (nine.is_aggregate, nine.is_summary_only, nine.is_fallback) == (
        True,
        False,
        False,
    )
    entries = prefix_entry("11.0.0.0/8"), prefix_entry("12.0.0.0/8", le=9)
    assert (default.when, default.is_fallback) == (PrefixMatch(entries), True)
