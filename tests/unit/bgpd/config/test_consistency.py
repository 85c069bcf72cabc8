import pytest

from bgpd.config.consistency import contradictions
from bgpd.config.document import format_path, parse_document
from bgpd.config.validation import validate
from tests.support.cases import cases

SPEAKER = "bgp: {as: 64512, router_id: 10.0.0.9}\n"


def findings_of(text: str) -> list[str]:
    config, problems = validate(parse_document(text, "f"))
    assert config is not None, problems
    return [f"{format_path(path)}: {what}" for path, what in contradictions(config)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "peers: [{address: 10.0.0.1, as: 1}, {address: 10.0.0.1, as: 2}]",
            ["peers[1].address: peers[0] already has the address 10.0.0.1"],
        ),
        (
            "peers: [{address: '2001:db8::1', as: 1}, {address: '2001:DB8:0::1', as: 2}]",
            ["peers[1].address: peers[0] already has the address 2001:db8::1"],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, name: x}, "
                "{address: 10.0.0.2, as: 2, name: x}]"
            ),
            ["peers[1].name: peers[0] already has the name x"],
        ),
        (
            "peers: [{address: 'fe80::1', as: 1}]",
            [
                "peers[0].address: a link-local address needs an interface, such as fe80::1%eth0"
            ],
        ),
        ("peers: [{address: 'fe80::1', interface: eth0, as: 1}]", []),
        ("peers: [{address: 'fe80::1%eth0', interface: eth0, as: 1}]", []),
        (
            "peers: [{address: 'fe80::1%eth0', interface: eth1, as: 1}]",
            ["peers[0].interface: is eth1, and the address fe80::1%eth0 names eth0"],
        ),
        (
            (
                "peer_groups: {rack: {interface: eth1}}\n"
                "peers: [{address: 'fe80::1%eth0', group: rack, as: 1}]"
            ),
            [
                (
                    "peer_groups.rack.interface: is eth1, and the address fe80::1%eth0 "
                    "names eth0"
                )
            ],
        ),
        (
            "peers: [{address: 'fe80::1%eth0', as: 1}, {address: 'fe80::1%eth1', as: 1}]",
            [],
        ),
        (
            (
                "peers: [{address: 'fe80::1%eth0', as: 1}, "
                "{address: 'fe80::1', interface: eth0, as: 2}]"
            ),
            ["peers[1].address: peers[0] already has the address fe80::1%eth0"],
        ),
        (
            (
                "ranges: [{prefix: 'fe80::/64', as: 1}, "
                "{prefix: 'fe80::/64', interface: eth0, as: 1}, "
                "{prefix: 'fe80::%eth1/64', as: 1}]"
            ),
            [],
        ),
        (
            (
                "ranges: [{prefix: 'fe80::/64', interface: eth0, as: 1}, "
                "{prefix: 'fe80::%eth0/64', as: 1}]"
            ),
            ["ranges[1].prefix: ranges[0] already has the prefix fe80::%eth0/64"],
        ),
        (
            "ranges: [{prefix: 'fe80::%eth0/64', interface: eth1, as: 1}]",
            ["ranges[0].interface: is eth1, and the prefix fe80::%eth0/64 names eth0"],
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, as: 1}, {prefix: 10.0.0.0/8, as: 2}]",
            ["ranges[1].prefix: ranges[0] already has the prefix 10.0.0.0/8"],
        ),
        (
            "peer_groups: {rack: {}}\npeers: [{address: 10.0.0.1, as: 1, group: rak}]",
            ["peers[0].group: there is no group 'rak'; did you mean 'rack'?"],
        ),
        (
            "peers: [{address: 10.0.0.1}]",
            [
                "peers[0].as: this key is required: the peer's AS number (a range accepts 0)"
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: external, client: on}]",
            [
                (
                    "peers[0].client: a peer in another AS (external, ours is 64512) "
                    "cannot be a route-reflector client"
                )
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: internal, role: peer}]",
            ["peers[0].role: is for eBGP sessions only (RFC 9234 4)"],
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, as: [1, 3-9], cluster_id: 1.1.1.1}]",
            ["ranges[0].cluster_id: is for iBGP sessions only (RFC 4456)"],
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, as: [1, 64000-65000], client: on}]",
            [],
        ),
        (
            (
                "peer_groups: {some: {as: [1, 2]}}\n"
                "peers: [{address: 10.0.0.1, group: some}]"
            ),
            [
                (
                    "peer_groups.some.as: only a range accepts several AS numbers; "
                    "`external` means any but ours"
                )
            ],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, discard_attributes: [99, 1], "
                "withdraw_attributes: [14]}]"
            ),
            [
                ("peers[0].discard_attributes[1]: every route needs attribute 1"),
                ("peers[0].withdraw_attributes[0]: every route needs attribute 14"),
            ],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, disable_capabilities: [all]}, "
                "{address: 10.0.0.2, as: 1, disable_capabilities: [multiprotocol], "
                "families: [ipv4-unicast, ipv6-unicast]}, "
                "{address: 10.0.0.3, as: 1, disable_capabilities: [hostname], "
                "families: [ipv6-unicast]}]"
            ),
            [
                (
                    "peers[1].disable_capabilities: without the capability "
                    "multiprotocol only ipv4-unicast is possible (RFC 4760)"
                )
            ],
        ),
        (
            (
                "routes: {originate: [{prefix: 10.0.0.0/8, summary_only: on}, "
                "{prefix: 0.0.0.0/0, when: [10.0.0.0/8, {prefix: 10.0.0.0/8, le: 7}]}]}"
            ),
            [
                "routes.originate[0].summary_only: needs aggregate",
                (
                    "routes.originate[1].when[1]: length bounds 8 to 7 of 10.0.0.0/8 are "
                    "not within 8 to 32"
                ),
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, replace_private_as: on}]",
            ["peers[0].replace_private_as: needs remove_private_as"],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, replace_private_as: on, "
                "remove_private_as: off}]"
            ),
            ["peers[0].replace_private_as: needs remove_private_as"],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, local_as_mode: prepend}, "
                "{address: 10.0.0.2, as: 1, local_as_mode: prepend, local_as: 64512}, "
                "{address: 10.0.0.3, as: 1, local_as_mode: prepend, local_as: 5}]"
            ),
            [
                f"peers[{n}].local_as_mode: needs local_as with an AS other than bgp.as"
                for n in (0, 1)
            ],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, dual_as: on}, "
                "{address: 10.0.0.2, as: 1, dual_as: on, local_as: 64512}, "
                "{address: 10.0.0.3, as: 1, dual_as: off}, "
                "{address: 10.0.0.4, as: 1, dual_as: on, local_as: 5}]"
            ),
            [
                f"peers[{n}].dual_as: needs local_as with an AS other than bgp.as"
                for n in (0, 1)
            ],
        ),
        (
            (
                "bgp: {as: 64512, router_id: 1.1.1.1, "
                "defaults: {local_as_mode: prepend}}\n"
                "peers: [{address: 10.0.0.1, as: 1}]"
            ),
            [],
        ),
        (
            "peer_groups: {any: {as: 0}}\npeers: [{address: 10.0.0.1, group: any}]",
            ["peer_groups.any.as: only a range accepts any AS"],
        ),
        (
            (
                "bgp: {as: 1, router_id: 1.1.1.1, defaults: {import_policy: acept-all}}\n"
                "peers: [{address: 10.0.0.1, as: 1}]"
            ),
            [
                (
                    "bgp.defaults.import_policy: there is no policy 'acept-all'; "
                    "did you mean 'accept-all'?"
                )
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, hold_time: 9, keepalive_time: 9}]",
            [
                (
                    "peers[0].keepalive_time: 9 s between keepalives is too long for "
                    "a hold time of 9 s"
                )
            ],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, graceful_restart: off, "
                "long_lived_stale_time: 60}]"
            ),
            ["peers[0].long_lived_stale_time: needs graceful_restart (RFC 9494 4.2)"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, ttl_security_hops: 1, multihop_ttl: 3}]",
            [
                (
                    "peers[0].multihop_ttl: cannot be combined with ttl_security_hops, which sends a TTL of "
                    "255 (RFC 5082)"
                )
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, password: x, password_file: y}]",
            ["peers[0].password_file: cannot be combined with password"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 64512, role: peer}]",
            ["peers[0].role: is for eBGP sessions only (RFC 9234 4)"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, client: on}]",
            [
                (
                    "peers[0].client: a peer in another AS (1, ours is 64512) cannot "
                    "be a route-reflector client"
                )
            ],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, cluster_id: 1.1.1.1}]",
            ["peers[0].cluster_id: is for iBGP sessions only (RFC 4456)"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, role_strict: on}]",
            ["peers[0].role_strict: needs role"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, local_address: '::1'}]",
            ["peers[0].local_address: ::1 cannot be the source address for 10.0.0.1"],
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, families: [ipv4-unicast, ipv4-unicast]}]",
            ["peers[0].families[1]: duplicate ipv4-unicast"],
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, as: 0, passive: off}]",
            [
                (
                    "ranges[0].passive: the neighbours of a range always connect to "
                    "us; `on` only stops us from connecting to them after a restart"
                )
            ],
        ),
        ("routes: {cluster: on}", ["routes.cluster: needs a datastore"]),
        (
            "datastore: {type: folder}",
            ["datastore.path: type folder needs this key"],
        ),
        (
            "datastore: {type: etcd}",
            ["datastore.endpoints: type etcd needs this key"],
        ),
        (
            "datastore: {type: etcd, endpoints: [10.0.0.1], cert_file: c, username: u}",
            [
                (
                    "datastore.endpoints[0]: '10.0.0.1' is not a URL such as "
                    "https://10.0.0.1:2379"
                ),
                "datastore.key_file: set both cert_file and key_file, or neither",
                "datastore.password: set both username and a password, or neither",
            ],
        ),
        (
            (
                "datastore: {type: etcd, endpoints: ['http://[::1]:2379'], username: u, "
                "password: p, password_file: f}"
            ),
            ["datastore.password_file: cannot be combined with password"],
        ),
        (
            "policies: {accept-all: {}}",
            ["policies.accept-all: this name belongs to a built-in policy"],
        ),
        (
            (
                "policies: {p: {terms: [{action: accept, "
                "match: {prefixes: [{prefix: 10.0.0.0/8, ge: 4}]}}]}}"
            ),
            [
                (
                    "policies.p.terms[0].match.prefixes[0]: length bounds 4 to 32 of "
                    "10.0.0.0/8 are not within 8 to 32"
                )
            ],
        ),
        (
            (
                "policies: {p: {terms: [{action: accept, match: {med: {min: 2, max: 1}}, "
                "set: {med: 1, remove_med: on}}]}}"
            ),
            [
                "policies.p.terms[0].match.med: min is above max",
                "policies.p.terms[0].set.remove_med: cannot be combined with med",
            ],
        ),
        (
            (
                "routes: {originate: [{prefix: 10.0.0.0/8}, {prefix: 10.0.0.0/8}, "
                "{prefix: '2001:db8::/32', next_hop: 10.0.0.1}]}"
            ),
            [
                "routes.originate[1].prefix: duplicate 10.0.0.0/8",
                "routes.originate[2].next_hop: an IPv6 route needs an IPv6 next hop",
            ],
        ),
        (
            (
                "peers: [{address: 10.0.0.1, as: 1, default_originate_when: [10.0.0.0/8], "
                "default_originate_policy: accept-al}, {address: 10.0.0.2, as: 1, "
                "default_originate: on, default_originate_policy: accept-all, "
                "default_originate_when: [{prefix: 10.0.0.0/8, ge: 4}]}]"
            ),
            [
                (
                    "peers[0].default_originate_policy: there is no policy 'accept-al'; "
                    "did you mean 'accept-all'?"
                ),
                "peers[0].default_originate_when: needs default_originate",
                "peers[0].default_originate_policy: needs default_originate",
                (
                    "peers[1].default_originate_when[0]: length bounds 4 to 32 of "
                    "10.0.0.0/8 are not within 8 to 32"
                ),
            ],
        ),
        (
            "routes: {originate: [{prefix: 0.0.0.0/0, fallback: on, weight: 0}]}",
            [
                "routes.originate[0].weight: cannot be combined with fallback, which always comes last"
            ],
        ),
    ],
)
def test_what_cannot_be_meant_is_reported(text: str, expected: list[str]) -> None:
    whole = text if text.startswith("bgp:") else SPEAKER + text
    assert findings_of(whole) == expected


@cases(
    ("rule", "key", "expected"),
    [
        ("self", "import", "export"),
        ("unchanged", "import", "export"),
        ("peer", "export", "import"),
        ("self", "export", ""),
        ("unchanged", "export", ""),
        ("peer", "import", ""),
        ("10.0.0.5", "import", ""),
        ("10.0.0.5", "export", ""),
    ],
)
@cases(
    ("users", "user"),
    [
        ("peers: [{address: 10.0.0.1, name: x, as: 1, KEY: p}]", "x"),
        ("ranges: [{prefix: 10.0.0.0/8, as: 1, KEY: p}]", "10.0.0.0/8"),
        ("bgp: {as: 64512, router_id: 10.0.0.9, defaults: {KEY: p}}", "bgp.defaults"),
        (
            "peer_groups: {g: {KEY: p}}\npeers: [{address: 10.0.0.1, as: 1, group: g}]",
            "10.0.0.1",
        ),
    ],
)
def test_a_next_hop_is_for_one_direction(rule, key, expected, users, user) -> None:
    users = users.replace("KEY", f"{key}_policy")
    text = (
        f"policies: {{p: {{terms: [{{action: accept, set: {{next_hop: {rule}}}}}]}}}}"
    )
    there = {
        "import": "an address, peer or discard",
        "export": "an address, self or unchanged",
    }
    whole = f"{users}\n{text}"
    found = findings_of(whole if users.startswith("bgp:") else SPEAKER + whole)
    assert found == (
        [
            (
                f"policies.p.terms[0].set.next_hop: {rule} works in {expected} policies "
                f"only, but {user} uses this as its {key} policy; expected {there[key]}"
            )
        ]
        if expected
        else []
    )


def test_without_a_datastore_the_speaker_must_be_named() -> None:
    assert findings_of("fib: {}") == [
        "bgp.as: this key is required without a datastore: our AS number",
        "bgp.router_id: this key is required without a datastore: four octets, or hash",
    ]


def test_with_a_datastore_the_node_is_described_there() -> None:
    assert findings_of("datastore: {type: folder, path: /x}") == []


def test_a_hashed_router_id_needs_a_name() -> None:
    assert findings_of("bgp: {as: 1, router_id: hash}") == [
        "bgp.router_id: `hash` needs node.name"
    ]
