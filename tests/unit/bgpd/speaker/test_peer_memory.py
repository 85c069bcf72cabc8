"""The file that tells the next run who was up."""

import os
import time
from pathlib import Path

import pytest

from bgpd.speaker import peer_memory
from bgpd.speaker.peer_memory import PeerMemory
from bgpd.speaker.peer_memory_reader import memory_path, read_memory
from bgpd.speaker.remembered_peers import RememberedPeer, RememberedPeers
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import ASN, Node, Rack, until

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_memory, "DELAY", 0.05)
    monkeypatch.setattr(peer_memory, "BEAT", 0.1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = memory_path(str(tmp_path / "run" / "pybgpd.sock"))
    assert path == tmp_path / "run" / "pybgpd.peers"
    return path


def names(file: Path) -> set[str]:
    found = read_memory(file)
    return set() if found is None else set(found.members)


def _mode(file: Path) -> int:
    """Return a file's permissions; 0 if it does not exist."""
    return file.stat().st_mode & 0o777 if file.exists() else 0


@on_virtual_time
async def test_it_follows_which_peers_are_up(file: Path) -> None:
    async with Rack() as rack:
        reflector, client, other = [await rack.node(n) for n in (1, 2, 3)]
        reflector.accepts(f"{rack.network}.2/32", is_client=True)
        memory = PeerMemory(reflector.speaker, file)
        client.peers_with(reflector)
        reflector.peers_with(other, graceful_restart_time=77)
        other.peers_with(reflector, has_graceful_restart=False)
        await until(lambda: names(file) == {client.addr, other.addr})
        found = read_memory(file)
        assert found is not None
        assert found.places == tuple(reflector.speaker.listener.addresses)
        assert found.members[client.addr] == RememberedPeer(
            client.addr, "range", reflector.addr, ASN, ASN, BOTH, 120
        )
        assert found.members[other.addr] == RememberedPeer(
            other.addr, "", reflector.addr, ASN, ASN, frozenset(), 0
        )
        assert _mode(file) == 0o600
        reflector.speaker.neighbours.remove(other.addr)
        await until(lambda: names(file) == {client.addr})
        await memory.close(forgets=False)
        await reflector.speaker.close(is_restart=True)
        assert names(file) == {client.addr}, "its end is not theirs"


@on_virtual_time
async def test_many_changes_are_one_write_and_none_is_a_new_stamp(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        memory = PeerMemory(reflector.speaker, file)
        client.peers_with(reflector)
        await until(lambda: names(file) == {client.addr})
        writes: list[bytes] = []

        def counted(path: Path, octets: bytes) -> None:
            writes.append(octets)
            real(path, octets)

        real = peer_memory._write
        monkeypatch.setattr(peer_memory, "_write", counted)
        peer = reflector.peer(client)
        for _ in range(1000):
            reflector.speaker.neighbours.session_changed(peer)
        await until(lambda: writes)
        os.utime(file, (1, 1))
        await until(lambda: file.stat().st_mtime > 1)
        assert len(writes) == 1
        await memory.close(forgets=True)
        assert not _mode(file)


@on_virtual_time
async def test_a_peer_that_was_up_before_stays_until_it_is_back_or_gives_up(
    file: Path,
) -> None:
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.peers_with(client, is_passive=True)
        kept = RememberedPeers(
            {
                who: RememberedPeer(
                    who, "nodes", reflector.addr, ASN, ASN, BOTH, seconds
                )
                for who, seconds in ((client.addr, 120), ("10.9.9.9", 6))
            },
            age=5.0,
        )
        memory = PeerMemory(reflector.speaker, file, kept)
        await until(lambda: names(file) == {client.addr, "10.9.9.9"})
        client.peers_with(reflector)
        await until(lambda: names(file) == {client.addr})
        found = read_memory(file)
        assert found is not None
        assert found.members[client.addr].range_name == ""
        await memory.close(forgets=False)


@on_virtual_time
async def test_a_file_that_cannot_be_written_is_logged_once_and_tried_again(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        file.parent.write_text("in its way")
        memory = PeerMemory(reflector.speaker, file)
        client.peers_with(reflector)
        await until(lambda: "cannot save which peers are up" in caplog.text)
        await advance(30)
        assert caplog.text.count("cannot save which peers are up") == 1
        assert reflector.is_up(client)
        file.parent.unlink()
        await until(lambda: names(file) == {client.addr})
        await memory.close(forgets=False)


def test_a_link_is_neither_followed_nor_believed(file: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    file.parent.mkdir()
    file.symlink_to(victim)
    assert read_memory(file) is None
    peer_memory._write(file, b"new")
    assert victim.read_text() == "kept"
    assert file.read_text() == "new"
    assert not file.is_symlink()


@pytest.mark.parametrize(
    ("since", "age"), [(0.0, 0.0), (50.0, 50.0), (-30.0, 0.0), (-4000.0, None)]
)
def test_its_age_is_that_of_its_stamp(file: Path, since, age) -> None:
    peer_memory._write(file, b'{"format": 1, "listening": []}')
    now = time.time()
    os.utime(file, (now - since, now - since))
    found = read_memory(file, now)
    assert (None if found is None else round(found.age, 3)) == age


@pytest.mark.parametrize("octets", [b"", b"\xff\xfe", b"junk", b"{" * 99])
def test_an_unreadable_memory_is_logged_and_counts_as_none(
    file: Path, octets, caplog
) -> None:
    peer_memory._write(file, octets)
    assert read_memory(file) is None
    assert "cannot read which peers were up" in caplog.text


def test_without_a_place_there_is_no_memory() -> None:
    assert memory_path("") is None
    assert read_memory(None) is None


@on_virtual_time
async def test_without_a_place_nothing_is_written(tmp_path: Path) -> None:
    async with Rack() as rack:
        node: Node = await rack.node(1)
        memory = PeerMemory(node.speaker, None)
        assert not [*node.speaker.observers]
        await memory.close(forgets=True)
