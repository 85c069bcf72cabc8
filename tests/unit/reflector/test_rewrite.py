import pytest

from reflector.rewrite import Reflection, reflect
from rib.attributes import make_attributes
from rib.attributes.codes import CLUSTER_LIST, ORIGINATOR_ID
from rib.attributes.path_attributes import PathAttributes, iterate
from tests.support.routes import slow_twin, some_attributes

OURS = Reflection(0x0A000063, bytes((10, 0, 0, 1)))
TAIL = bytes.fromhex("800904 0a000063 800a04 0a000001")


def after(attributes: PathAttributes) -> list[tuple[int, bytes]]:
    return [(code, value) for _, code, value in iterate(reflect(attributes, OURS))]


@pytest.mark.rfc("4456", "8", "MUST")
def test_both_attributes_go_to_the_end_of_the_usual_block() -> None:
    plain = some_attributes("65001", local_pref=100, communities=(1, 2))
    for attributes in (plain, slow_twin(plain)):
        assert reflect(attributes, OURS) == attributes.octets + TAIL
    assert OURS.tail == TAIL
    two = Reflection(1, bytes(8))
    assert two.tail == bytes.fromhex("800904 00000001 800a08") + bytes(8)


@pytest.mark.rfc("4456", "10", "MUST NOT")
def test_they_go_where_they_belong_and_nothing_else_changes() -> None:
    large = some_attributes("65001", communities=(1,), large_communities=((1, 2, 3),))
    before = len(some_attributes("65001", communities=(1,)).octets)
    for attributes in (large, slow_twin(large)):
        octets = reflect(attributes, OURS)
        assert octets == large.octets[:before] + TAIL + large.octets[before:]
    sets = some_attributes("65001 {1,2}", local_pref=1, aigp=3)
    assert dict(after(sets)) == {
        **{code: value for _, code, value in iterate(sets.octets)},
        ORIGINATOR_ID: OURS.originator,
        CLUSTER_LIST: OURS.added_clusters,
    }
    codes = [code for code, _ in after(sets)]
    assert codes == sorted(codes)


@pytest.mark.rfc("4456", "8", "MUST NOT")
def test_an_originator_stays_and_clusters_are_put_before_others() -> None:
    reflected = some_attributes(originator_id=7, cluster_list=(1, 2))
    for attributes in (reflected, slow_twin(reflected)):
        found = dict(after(attributes))
        assert found[ORIGINATOR_ID] == bytes((0, 0, 0, 7))
        assert found[CLUSTER_LIST] == bytes((10, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2))
    # One of them alone, as only a broken reflector sends it.
    found = dict(after(some_attributes(cluster_list=(1,))))
    assert found[ORIGINATOR_ID] == OURS.originator
    found = dict(after(some_attributes(originator_id=0)))
    assert found[ORIGINATOR_ID] == bytes(4)
    assert found[CLUSTER_LIST] == OURS.added_clusters


@pytest.mark.parametrize("count", [1, 31, 32, 62, 63])
def test_a_list_may_outgrow_a_length_octet(count: int) -> None:
    two = Reflection(1, bytes(8))
    long = some_attributes(originator_id=7, cluster_list=range(1, count + 1))
    found = {code: value for _, code, value in iterate(reflect(long, two))}
    assert found[CLUSTER_LIST] == bytes(8) + (long.get(CLUSTER_LIST) or b"")
    assert long.is_spliced is (count < 32)


def test_a_block_without_next_hop_is_reflected_likewise() -> None:
    bare = make_attributes(next_hop=b"\xfd" + bytes(15), local_pref=1)
    assert reflect(bare, OURS) == bare.octets + TAIL
