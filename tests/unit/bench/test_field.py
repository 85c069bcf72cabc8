import gzip
from collections import Counter
from pathlib import Path

from bgpd.wire.update import split_fields
from rib.attributes import decode_block
from rib.nlri import split
from tests.bench.feed import an_update
from tests.bench.field import a_full_table
from tests.bench.mrt import for_internal, messages
from tests.support.attributes import IBGP


def a_record(body: bytes, kind: int = 16, subtype: int = 4) -> bytes:
    return (
        bytes(4) + kind.to_bytes(2) + subtype.to_bytes(2) + len(body).to_bytes(4) + body
    )


def a_message(message: bytes) -> bytes:
    return bytes(8) + b"\0\0" + b"\0\1" + bytes(8) + message


def from_external_peer() -> bytes:
    """An UPDATE without LOCAL_PREF."""
    message = an_update("192.0.2.1", b"\x18\x0a\x00\x00", b"\x02\x01\x00\x00\x03\xe8")
    block = split_fields(message[19:])[1].replace(b"\x40\x05\x04\x00\x00\x00\x64", b"")
    body = b"\0\0" + len(block).to_bytes(2) + block + b"\x18\x0a\x00\x00"
    return message[:16] + (19 + len(body)).to_bytes(2) + b"\x02" + body


def test_an_external_peers_update_gets_a_local_pref() -> None:
    message = for_internal(from_external_peer())
    assert int.from_bytes(message[16:18]) == len(message)
    _, block, nlri = split_fields(message[19:])
    decoded = decode_block(block, IBGP, has_nlri=True)
    assert not decoded.problems
    assert decoded.attributes is not None
    assert decoded.attributes.local_pref == 100
    assert nlri == b"\x18\x0a\x00\x00"


def test_what_a_replay_cannot_carry_is_counted(tmp_path: Path) -> None:
    update = from_external_peer()
    keepalive = b"\xff" * 16 + b"\x00\x13\x04"
    file = tmp_path / "updates.gz"
    file.write_bytes(
        gzip.compress(
            a_record(a_message(update))
            + a_record(bytes(4) + a_message(update), kind=17)
            + a_record(a_message(keepalive))
            + a_record(b"", subtype=1)
        )
    )
    counts: Counter[str] = Counter()
    assert [*messages(file, counts)] == [for_internal(update)] * 2
    assert sorted(counts.values()) == [1, 1, 2]


def test_a_made_table_is_like_real_ones() -> None:
    updates = [split_fields(message[19:]) for message in a_full_table(100_000)]
    prefixes = [split(nlri) for _, _, nlri in updates]
    assert len({nlri for some in prefixes for nlri in some}) == 100_000
    for _, block, _ in updates[:2000]:
        assert not decode_block(block, IBGP, has_nlri=True).problems
    sizes = sorted(map(len, prefixes))
    assert sizes[len(sizes) // 3] == 1
    assert 4 <= 100_000 / len(sizes) <= 8
    share = sum(nlri[0] == 24 for some in prefixes for nlri in some) / 100_000
    assert 0.5 < share < 0.6
