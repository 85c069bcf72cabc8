import random
import re
from typing import get_origin

import pytest

from bgpd.config.base import Section
from bgpd.config.document import parse_document
from bgpd.config.model import DaemonConfig
from bgpd.config.schema import annotation_of, keys_of, section_in
from bgpd.config.validation import did_you_mean, validate
from tests.support.cases import cases


def problems_of(text: str) -> list[str]:
    config, problems = validate(parse_document(text, "f"))
    assert (config is None) == bool(problems)
    return [str(each) for each in problems]


@cases(
    ("text", "expected"),
    [
        ("fbi: {}", "f:1:1: fbi: unknown key; did you mean 'fib'?"),
        ("bgp:\n\tas: 1\n", "f:2:1: not YAML: a tab cannot indent; use spaces"),
        (
            "policies: {p: {terms: [{action: accept, set: {prepend: 65000}}]}}",
            (
                "f:1:56: policies.p.terms[0].set.prepend: expected a list, found 65000; "
                "write [65000]"
            ),
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, families: ipv4 unicast}]",
            (
                "f:1:41: ranges[0].families: expected a list, found 'ipv4 unicast'; "
                "write ['ipv4 unicast']"
            ),
        ),
        (
            'metrics: {listen: ":9179"}',
            (
                "f:1:19: metrics.listen: expected an address before the port; "
                "0.0.0.0:9179 and [::]:9179 are any address"
            ),
        ),
        (
            'metrics: {listen: "*:9179"}',
            (
                "f:1:19: metrics.listen: expected an address before the port; "
                "0.0.0.0:9179 and [::]:9179 are any address"
            ),
        ),
        (
            "metrics: {listen: 9179}",
            (
                "f:1:19: metrics.listen: expected ADDRESS:PORT, such as 127.0.0.1:9179 or "
                "[::1]:9179, found 9179"
            ),
        ),
        (
            'calico: {compatibility: "3.29"}',
            (
                "f:1:25: calico.compatibility: expected auto, 3.31, 3.32, 3.33, found "
                "'3.29'; 3.31 is the name for 3.31 and earlier"
            ),
        ),
        (
            "calico: {compatibility: v3.32.1}",
            (
                "f:1:25: calico.compatibility: expected auto, 3.31, 3.32, 3.33, found "
                "'v3.32.1'; write 3.32"
            ),
        ),
        (
            'calico: {compatibility: "3.40"}',
            (
                "f:1:25: calico.compatibility: expected auto, 3.31, 3.32, 3.33, found "
                "'3.40'; 3.33 is the newest that is known here"
            ),
        ),
        (
            "calico: {compatibility: 3.4}",
            (
                "f:1:25: calico.compatibility: expected auto, 3.31, 3.32, 3.33, found "
                "3.4; put a release in quotes"
            ),
        ),
        (
            "bgp: {defaults: {families: [ipv6-unicat]}}",
            (
                "f:1:29: bgp.defaults.families[0].name: expected one of ipv4-unicast, "
                "ipv6-unicast, found 'ipv6-unicat'; did you mean 'ipv6-unicast'?"
            ),
        ),
        (
            "bgp: {defaults: {families: [ipv5-unicast]}}",
            (
                "f:1:29: bgp.defaults.families[0].name: expected one of ipv4-unicast, "
                "ipv6-unicast, found 'ipv5-unicast'"
            ),
        ),
        (
            "policies: [1]",
            "f:1:11: policies: expected a mapping, with a name before each item, found a list",
        ),
        (
            "policies: {p: {terms: [{}]}}",
            "f:1:24: policies.p.terms[0].action: this key is required: one of accept, reject, next",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\ndata: {pybgpd.yaml: x}\n",
            (
                "f:1:1: this is a ConfigMap of Kubernetes, not a configuration of pybgpd; "
                "check the text in its data.pybgpd.yaml: kubectl get configmap n -o "
                "jsonpath='{.data.pybgpd\\.yaml}' >pybgpd.yaml"
            ),
        ),
        (
            "apiVersion: projectcalico.org/v3\nkind: BGPPeer\n",
            (
                "f:1:1: this is a BGPPeer of Kubernetes, not a configuration of pybgpd; a "
                "folder of such objects can be the datastore (datastore.path)"
            ),
        ),
        (
            "metrics: {zzz: 1}",
            "f:1:11: metrics.zzz: unknown key; known here: listen, peers, propagation",
        ),
        (
            "peers:\n  - address: 10.0.0.1\n    hold_tiem: 3\n",
            "f:3:5: peers[0].hold_tiem: unknown key; did you mean 'hold_time'?",
        ),
        (
            "peers: [{as: 1}]",
            "f:1:9: peers[0].address: this key is required",
        ),
        (
            "fib: {table: many}",
            "f:1:14: fib.table: expected a whole number, found 'many'",
        ),
        (
            "fib: {table: true}",
            "f:1:14: fib.table: expected a whole number, found true",
        ),
        ("fib: {table: 0}", "f:1:14: fib.table: expected at least 1, found 0"),
        (
            "fib: {protocol: 256}",
            "f:1:17: fib.protocol: expected at most 255, found 256",
        ),
        (
            "fib: {mode: onn}",
            "f:1:13: fib.mode: expected one of on, off, found 'onn'; did you mean 'on'?",
        ),
        ("fib: [1]", "f:1:6: fib: expected a mapping, found a list"),
        ("peers: {}", "f:1:8: peers: expected a list, found a mapping"),
        (
            "node: {name: 42}",
            (
                "f:1:14: node.name: expected text (quote it if it looks like a number), "
                "found 42"
            ),
        ),
        (
            "routes: {cluster: maybe}",
            "f:1:19: routes.cluster: expected true or false, found 'maybe'",
        ),
        (
            "bgp: {router_id: 10.0.0.999}",
            "f:1:18: bgp.router_id: '10.0.0.999' is not an IP address",
        ),
        (
            "bgp: {router_id: 0.0.0.0}",
            "f:1:18: bgp.router_id: expected four octets, not all zero, such as 10.0.0.1",
        ),
        ("bgp: {as: 0}", "f:1:11: bgp.as: expected at least 1, found 0"),
        (
            "bgp: {as: 1.10}",
            "f:1:11: bgp.as: put an AS number with a dot in quotes",
        ),
        (
            "bgp: {as: '70000.1'}",
            "f:1:11: bgp.as: expected an AS number, found '70000.1'",
        ),
        (
            "bgp: {defaults: {hold_time: 2}}",
            "f:1:29: bgp.defaults.hold_time: expected 0 or at least 3 (RFC 4271 4.2)",
        ),
        (
            "bgp: {defaults: {families: [v4]}}",
            (
                "f:1:29: bgp.defaults.families[0].name: expected one of ipv4-unicast, "
                "ipv6-unicast, found 'v4'"
            ),
        ),
        (
            "bgp: {defaults: {families: []}}",
            "f:1:28: bgp.defaults.families: expected a number of items of at least 1",
        ),
        (
            "routes: {originate: [{prefix: 10.0.0.1/8}]}",
            (
                "f:1:31: routes.originate[0].prefix: 10.0.0.1/8 has host bits set; "
                "did you mean 10.0.0.0/8?"
            ),
        ),
        (
            "routes: {originate: [{prefix: ten}]}",
            "f:1:31: routes.originate[0].prefix: 'ten' is not a prefix such as 10.0.0.0/8",
        ),
        (
            "peers: [{address: '10.0.0.1%eth0', as: 1}]",
            "f:1:19: peers[0].address: only a link-local IPv6 address has an interface",
        ),
        (
            "peers: [{address: 'fe80::1%', as: 1}]",
            "f:1:19: peers[0].address: '' is not an interface name",
        ),
        (
            "routes: {direct: {interfaces: [lo, a b]}}",
            (
                "f:1:36: routes.direct.interfaces[1]: expected a pattern of interfaces such "
                "as lo, eth* or -cali*, found 'a b'"
            ),
        ),
        (
            "bgp: {defaults: {interface: averyveryverylong}}",
            (
                "f:1:29: bgp.defaults.interface: 'averyveryverylong' is not an interface name "
                "(1 to 15 characters)"
            ),
        ),
        (
            "metrics: {listen: here}",
            (
                "f:1:19: metrics.listen: expected ADDRESS:PORT, such as 127.0.0.1:9179 or "
                "[::1]:9179, found 'here'"
            ),
        ),
        (
            "policies: {p: {terms: [{action: accept, match: {as_path: '('}}]}}",
            (
                "f:1:58: policies.p.terms[0].match.as_path: not a regular expression: missing "
                "), unterminated subpattern at position 0"
            ),
        ),
        (
            "policies: {p: {terms: [{action: accept, match: {as_path: '(?=1)'}}]}}",
            (
                "f:1:58: policies.p.terms[0].match.as_path: not a regular expression: groups "
                "are (...) and (?:...); other kinds are not supported at position 2"
            ),
        ),
        (
            "policies: {p: {terms: [{action: accept, match: {communities: [x]}}]}}",
            "f:1:63: policies.p.terms[0].match.communities[0]: 'x' is not a community; expected one such as 65000:100",
        ),
        (
            "peers: [{address: 10.0.0.1, as: 1, discard_attributes: [aigb]}]",
            (
                "f:1:57: peers[0].discard_attributes[0]: expected a type code or one of "
                "multi-exit-disc, local-pref, atomic-aggregate, aggregator, communities, "
                "originator-id, cluster-list, extended-communities, as4-path, "
                "as4-aggregator, ipv6-extended-communities, aigp, large-community, "
                "only-to-customer, found 'aigb'"
            ),
        ),
        (
            "peers: [{address: 10.0.0.1, as: extern}]",
            (
                "f:1:33: peers[0].as: expected an AS number, internal or external, found "
                "'extern'"
            ),
        ),
        (
            "ranges: [{prefix: 10.0.0.0/8, as: [1, 9-5]}]",
            (
                "f:1:35: ranges[0].as: expected an AS number, 0 for any, internal, "
                "external, or a list of numbers and of ranges such as 64512-65534, found "
                "[1, '9-5'] (the range 9-5 is empty)"
            ),
        ),
        (
            (
                "policies: {p: {terms: [{action: accept, match: {ext_communities: "
                "{none: [1-1]}}}]}}"
            ),
            (
                "f:1:74: policies.p.terms[0].match.ext_communities.none[0]: '1-1' is not an "
                "extended community; expected one such as rt:65000:100"
            ),
        ),
        (
            (
                "policies: {p: {terms: [{action: accept, set: {communities: "
                "{add: ['1:*']}}}]}}"
            ),
            "f:1:67: policies.p.terms[0].set.communities.add[0]: '1:*' is not a community; expected one such as 65000:100",
        ),
        (
            "policies: {p: {terms: [{action: accept, set: {next_hop: myself}}]}}",
            (
                "f:1:57: policies.p.terms[0].set.next_hop: expected an address or one of "
                "discard, peer, self, unchanged, found 'myself'"
            ),
        ),
    ],
)
def test_each_problem_says_where_what_and_what_was_expected(
    text: str, expected: str
) -> None:
    assert problems_of(text) == [expected]


def test_every_problem_is_in_our_words_not_those_of_the_library() -> None:
    chance = random.Random(3)
    texts = set()
    for _ in range(400):
        document = parse_document("", "f")
        document.data = some_section(DaemonConfig, chance)
        texts |= {each.text for each in validate(document)[1]}
    assert len(texts) > 100
    foreign = re.compile(r"Input should|valid|parse|Value error|another kind of value")
    assert not [text for text in texts if foreign.search(text)]


VALUES: tuple[object, ...] = (
    None,
    True,
    1,
    -1,
    10**30,
    1.5,
    "x",
    "",
    [],
    [1],
    {},
    {"a": 1},
    {1: {}},
    [{}],
)


def some_section(
    section: type[Section], chance: random.Random, depth: int = 0
) -> dict[str, object]:
    """Return a few keys of a section, in place of values anything that YAML can say."""
    made: dict[str, object] = {}
    for key, field in chance.choices(list(keys_of(section).items()), k=3):
        annotation = annotation_of(field)
        inner = section_in(annotation)
        value: object = chance.choice(VALUES)
        if inner is not None and depth < 5 and chance.random() < 0.75:
            value = some_section(inner, chance, depth + 1)
            if get_origin(annotation) is list:
                value = [value]
            elif get_origin(annotation) is dict:
                value = {"n": value}
        made[key] = value
    return made


def test_a_password_is_never_shown() -> None:
    text = (
        f"bgp: {{defaults: {{password: {'s3cret' * 20}}}}}\ndatastore: {{password: 42}}"
    )
    shown = "\n".join(problems_of(text))
    assert "password: expected 1 to 80 octets" in shown
    assert "s3cret" not in shown
    assert "42" not in shown


def test_all_problems_are_reported_at_once() -> None:
    text = "fib: {table: x, mode: y}\npeers: [{addres: 1}]\nfib: {}\n"
    assert len(problems_of(text)) >= 3


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("fib: {mode: on}", "mode", "on"),
        ("fib: {mode: true}", "mode", "on"),
        ("fib: {mode: false}", "mode", "off"),
        ("fib: {nexthop_objects: no}", "nexthop_objects", None),
    ],
)
def test_switches_are_read_in_every_usual_spelling(
    text: str, field: str, value: str | None
) -> None:
    config, problems = validate(parse_document(text, "f"))
    if value is None:
        assert problems
    else:
        assert config is not None
        assert getattr(config.fib, field) == value


def test_an_as_number_may_have_a_dot_in_quotes() -> None:
    config, _ = validate(parse_document("bgp: {as: '1.10'}", "f"))
    assert config is not None
    assert config.bgp.asn == 65546


def test_a_far_word_is_not_suggested() -> None:
    assert did_you_mean("zzz", ["address"]) == ""


def test_a_problem_without_a_message_of_our_own_has_pydantics() -> None:
    document = parse_document("", "f")
    document.data = {"fib": {"table": 10**30, "metric": 1.5}}
    _, problems = validate(document)
    assert [problem.key for problem in problems] == ["fib.table", "fib.metric"]
    assert all(problem.text for problem in problems)


def test_a_text_is_bounded_since_the_daemon_compiles_and_logs_it() -> None:
    for text in (
        f"policies: {{p: {{terms: [{{match: {{as_path: {'x' * 1001}}}}}]}}}}",
        f"peers: [{{address: 10.0.0.1, as: 1, name: {'x' * 1001}}}]",
    ):
        _, problems = validate(parse_document(text, "f"))
        assert any("a length of at most 1000" in str(each) for each in problems)


def test_a_file_that_is_wrong_throughout_is_reported_in_part() -> None:
    text = "peers:\n" + "- {colour: blue}\n" * 2_000
    _, problems = validate(parse_document(text, "f"))
    assert len(problems) == 51
    assert "problems more" in str(problems[-1])
