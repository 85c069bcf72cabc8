import pytest

from bgpd.calico.blocks import AffinityError, Block, BlockTable, parse_block
from bgpd.calico.keys import affinity_key
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_prefix

CONFIRMED = b'{"state":"confirmed","deleted":false}'


def key(node: str, cidr: str) -> str:
    return affinity_key(node, cidr)


def blocks(*cidrs: str) -> set[Block]:
    return {parse_block(cidr) for cidr in cidrs}


@pytest.mark.parametrize("cidr", ["10.244.44.192/26", "0.0.0.0/0", "fd00:10::/122"])
def test_a_block_is_the_key_of_the_rib(cidr: str) -> None:
    afi, nlri = parse_prefix(cidr)
    block = parse_block(cidr)
    assert block.nlri == nlri
    assert block.family == (IPV4_UNICAST if afi == 1 else IPV6_UNICAST)
    assert str(block) == cidr


@pytest.mark.parametrize(
    "cidr", ["", "10.0.0.0", "10.0.0/24", "10.0.0.0/33", "fd00::/129", "x/1", "::/-1"]
)
def test_no_block(cidr: str) -> None:
    with pytest.raises(AffinityError):
        parse_block(cidr)


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("10.0.0.0/26", True),
        ("10.0.0.1/32", False),
        ("fd00::/122", True),
        ("fd00::1/128", False),
    ],
)
def test_a_single_address_has_no_blackhole(cidr: str, *, expected: bool) -> None:
    assert parse_block(cidr).has_blackhole is expected


@pytest.mark.parametrize(
    ("value", "is_owned"),
    [
        (CONFIRMED, True),
        (b"", True),
        (b"{}", True),
        (b'{"state":""}', True),
        (b'{"state":null,"deleted":null}', True),
        (b'{"state":"pending"}', False),
        (b'{"state":"pendingDeletion"}', True),
        (b'{"state":"confirmed","deleted":true}', False),
    ],
)
def test_states(value: bytes, *, is_owned: bool) -> None:
    table = BlockTable()
    changed = table.update([(key("n1", "10.0.0.0/26"), value)], ())
    assert bool(table.of("n1")) is is_owned
    assert changed == ({"n1"} if is_owned else set())
    assert table.warnings() == ()


@pytest.mark.parametrize(
    "value", [b"nonsense", b"[]", b"null", b'{"state":"odd"}', b'{"state":7}', b"\xff"]
)
def test_a_bad_value_changes_nothing_and_is_reported(value: bytes) -> None:
    table = BlockTable()
    name = key("n1", "10.0.0.0/26")
    assert table.update([(name, value)], ()) == frozenset()
    assert [warning.key for warning in table.warnings()] == [name]
    table.update([(name, CONFIRMED)], ())
    assert table.warnings() == ()
    assert table.update([(name, value)], ()) == frozenset()
    assert table.of("n1") == blocks("10.0.0.0/26")
    assert "keeps its owner" in table.warnings()[0].text
    table.update((), [name])
    assert table.of("n1") == frozenset()
    assert table.warnings() == ()


def test_known_values_work_as_new_ones_do() -> None:
    table = BlockTable()
    first, second = key("n1", "10.0.0.0/26"), key("n2", "10.0.0.64/26")
    for value in (CONFIRMED, b'{"state":"pending"}', CONFIRMED):
        table.update([(first, value), (second, value)], ())
        assert table.of("n1") == (
            blocks("10.0.0.0/26") if value == CONFIRMED else set()
        )
        assert bool(table.of("n2")) == bool(table.of("n1"))


def test_life_of_an_affinity() -> None:
    table = BlockTable()
    name = key("n1", "10.0.0.0/26")
    seen = []
    for value in (b'{"state":"pending"}', CONFIRMED, b'{"state":"pendingDeletion"}'):
        changed = table.update([(name, value)], ())
        seen.append((bool(changed), len(table.of("n1"))))
    changed = table.update((), [name])
    seen.append((bool(changed), len(table.of("n1"))))
    assert seen == [(False, 0), (True, 1), (True, 1), (True, 0)]


def test_a_snapshot_replaces_all() -> None:
    table = BlockTable()
    table.update(
        [
            (key("n1", "10.0.0.0/26"), CONFIRMED),
            (key("n2", "10.0.0.64/26"), CONFIRMED),
            (key("n3", "10.0.0.128/26"), b"bad"),
        ],
        (),
    )
    changed = table.replace(
        {
            key("n1", "10.0.0.0/26"): CONFIRMED,
            key("n2", "10.0.0.192/26"): CONFIRMED,
        }
    )
    assert changed == {"n2"}
    assert table.of("n2") == blocks("10.0.0.192/26")
    assert table.warnings() == ()


def test_others_are_all_but_the_own_node() -> None:
    table = BlockTable()
    table.update(
        [
            (key("n1", "10.0.0.0/26"), CONFIRMED),
            (key("n2", "10.0.0.64/26"), CONFIRMED),
            (key("n2", "fd00::/122"), CONFIRMED),
        ],
        (),
    )
    others = table.others("n1")
    assert others == {"n2": blocks("10.0.0.64/26", "fd00::/122")}
    table.update((), [key("n2", "fd00::/122")])
    assert others["n2"] == blocks("10.0.0.64/26", "fd00::/122")
    assert table.others("n2") == {"n1": blocks("10.0.0.0/26")}


def test_a_block_inside_another_nodes_block_is_reported() -> None:
    table = BlockTable()
    table.update(
        [
            (key("n1", "10.0.0.0/24"), CONFIRMED),
            (key("n1", "10.0.0.0/26"), CONFIRMED),
            (key("n2", "10.0.0.64/26"), CONFIRMED),
            (key("n2", "fd00::/122"), CONFIRMED),
        ],
        (),
    )
    (warning,) = table.warnings()
    assert warning.text == "10.0.0.64/26 overlaps 10.0.0.0/24 of node n1"
    assert warning.key == key("n2", "10.0.0.64/26")


def test_the_set_of_a_node_is_one_object_until_it_changes() -> None:
    table = BlockTable()
    table.update([(key("n1", "10.0.0.0/26"), CONFIRMED)], ())
    before = table.of("n1")
    table.update([(key("n2", "10.0.0.64/26"), CONFIRMED)], ())
    assert table.of("n1") is before


def test_other_keys_of_ipam_are_ignored() -> None:
    table = BlockTable()
    changed = table.update(
        [
            ("/calico/ipam/v2/host/n1", b"{}"),
            ("/calico/ipam/v2/host/n1/ipv4/block/nodash", b"{}"),
            ("/calico/ipam/v2/host/n1/ipv4/pool/10.0.0.0-26", b"{}"),
        ],
        ["/calico/ipam/v2/host/n9"],
    )
    assert changed == frozenset()
    assert table.warnings() == ()


def test_many_different_values_stay_understood() -> None:
    table = BlockTable()
    puts = [
        (key("n1", f"10.{i >> 8}.{i & 255}.0/26"), b'{"n":%d}' % i) for i in range(3000)
    ]
    table.update(puts, ())
    assert len(table.of("n1")) == 3000
