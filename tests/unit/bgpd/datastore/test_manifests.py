import json

import pytest

from bgpd.calico.keys import affinity_key, resource_key
from bgpd.datastore.manifests import (
    ManifestError,
    UnknownKindError,
    item_of,
    key_of,
    parse,
)
from tests.support.manifests import API, affinity, node, resource


def test_documents_keep_their_line_numbers() -> None:
    text = (
        "# nodes\n---\n"
        f"apiVersion: {API}\nkind: Node\nmetadata: {{name: n1}}\n"
        "--- # second\n\n"
        f"apiVersion: {API}\nkind: Node\nmetadata: {{name: n2}}\n"
    )
    assert [(entry.key, entry.line) for entry in parse(text).entries] == [
        (resource_key("Node", "n1"), 3),
        (resource_key("Node", "n2"), 8),
    ]


@pytest.mark.parametrize("separator", ["---\n", "---\r\n", "--- \n", "--- # x\n"])
def test_a_broken_document_spoils_itself_only(separator: str) -> None:
    good = f"apiVersion: {API}\nkind: Node\nmetadata: {{name: n1}}\n"
    parsed = parse(f"a: [1\n{separator}{good}{separator}b: {{\n")
    assert [entry.key for entry in parsed.entries] == [resource_key("Node", "n1")]
    assert len(parsed.warnings) == 2
    assert not parsed.is_whole


def test_yaml_has_no_surprises() -> None:
    text = (
        f"apiVersion: {API}\nkind: BGPConfiguration\nmetadata: {{name: default}}\n"
        "spec: {value: 65000:10, day: 2020-01-01, number: 7, asdot: 1.10, on: true}\n"
    )
    spec = json.loads(parse(text).entries[0].value)["spec"]
    assert spec["value"] == "65000:10"
    assert spec["day"] == "2020-01-01"
    assert spec["number"] == 7
    assert spec["asdot"] == "1.10"
    assert spec["on"] is True


def test_lists_are_unfolded() -> None:
    text = json.dumps(
        {
            "apiVersion": API,
            "kind": "NodeList",
            "items": [node("n1"), {"kind": "Node"}, node("n2")],
        },
        indent=1,
    )
    parsed = parse(text)
    assert [entry.key for entry in parsed.entries] == [
        resource_key("Node", "n1"),
        resource_key("Node", "n2"),
    ]
    assert parsed.entries[1].line > parsed.entries[0].line > 3
    assert parsed.warnings[0][1] == "kind and apiVersion are missing"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("just text", "a document is not a mapping"),
        ("[1, 2]", "a document is not a mapping"),
        ("kind: Node", "kind and apiVersion are missing"),
        (f"{{kind: Node, apiVersion: {API}}}", "metadata is not a mapping"),
        (
            f"{{kind: Node, apiVersion: {API}, metadata: {{name: null}}}}",
            "Node has no metadata.name",
        ),
        (
            f"{{kind: Node, apiVersion: {API}, metadata: {{name: a/b}}}}",
            "metadata.name 'a/b' contains a slash",
        ),
        (
            f"{{kind: BlockAffinity, apiVersion: {API}, spec: null}}",
            "spec is not a mapping",
        ),
        (
            f"{{kind: BlockAffinity, apiVersion: {API}, spec: {{node: 7}}}}",
            "BlockAffinity: spec.node is 7",
        ),
        (
            json.dumps(affinity("n1", "10.0.0.1/26")),
            "BlockAffinity: spec.cidr: 10.0.0.1/26 has host bits set",
        ),
        ("&a [*a]", "alias 'a' refers to the value that contains it"),
        ("? {a: b}\n: c", "a document is not a mapping"),
        ("a: *nowhere", "not YAML: "),
        ("a: !!python/object:os.system x", "tag '!!python/object:os.system'"),
        ("\x00", "not YAML: "),
    ],
)
def test_bad_documents_are_reported(document: str, text: str) -> None:
    parsed = parse(document)
    assert parsed.entries == ()
    assert not parsed.is_whole
    assert any(text in warning for _, warning in parsed.warnings) or (
        document.startswith("?") and parsed.warnings
    )


def test_an_unknown_kind_is_a_warning_only() -> None:
    parsed = parse(f"apiVersion: {API}\nkind: Pod\nmetadata: {{name: x}}\n")
    assert parsed.is_whole
    assert parsed.warnings == ((1, "unknown kind Pod; ignored"),)
    parsed = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    assert "is not projectcalico.org/v3" in parsed.warnings[0][1]


def test_a_cycle_is_not_a_manifest() -> None:
    text = f"apiVersion: {API}\nkind: Node\nmetadata: &m {{name: x, again: *m}}\n"
    parsed = parse(text)
    assert parsed.entries == ()
    assert parsed.warnings


@pytest.mark.parametrize("text", ["", "\n", "---\n", "---\n---\n# nothing\n"])
def test_nothing_is_fine(text: str) -> None:
    parsed = parse(text)
    assert parsed.entries == ()
    assert parsed.warnings == ()
    assert parsed.is_whole


def test_items_of_objects() -> None:
    assert item_of(affinity("n1", "10.1.0.0/26", "pending")) == (
        affinity_key("n1", "10.1.0.0/26"),
        b'{"deleted":false,"state":"pending"}',
    )
    assert key_of(resource("IPPool", "p")) == resource_key("IPPool", "p")
    with pytest.raises(UnknownKindError):
        key_of(resource("Pod", "p"))
    with pytest.raises(ManifestError, match="cannot convert to JSON"):
        item_of({**node("n1"), "extra": {1, 2}})


def test_of_an_ipam_block_nothing_is_kept_but_whose_it_is() -> None:
    text = """\
apiVersion: crd.projectcalico.org/v1
kind: IPAMBlock
metadata: {{name: 10-244-1-0-26}}
spec:
  affinity: host:n2
  cidr: {cidr}
  allocations: {allocations}
  attributes: [{{handle_id: x}}]
  deleted: false
  strictAffinity: false
  unallocated: [1, 2]
"""
    (entry,) = parse(text.format(cidr="10.244.1.0/26", allocations="[0, null]")).entries
    assert entry.key == "/calico/ipam/v2/assignment/ipv4/block/10.244.1.0-26"
    assert entry.value == b'{"affinity":"host:n2","deleted":false}'
    (later,) = parse(text.format(cidr="10.244.1.0/26", allocations="[0, 1]")).entries
    assert later == entry
    (six,) = parse(text.format(cidr="fd00:0:0::/122", allocations="[]")).entries
    assert six.key == "/calico/ipam/v2/assignment/ipv6/block/fd00::-122"
    parsed = parse(text.format(cidr="10.244.1.1/26", allocations="[]"))
    assert not parsed.entries
    assert (
        "IPAMBlock: spec.cidr: 10.244.1.1/26 has host bits set" in parsed.warnings[0][1]
    )
