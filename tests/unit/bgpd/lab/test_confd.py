"""What confd's stand-in writes when the datastore tells something."""

from pathlib import Path

from bgpd.calico.events import Changes, Snapshot
from bgpd.lab.confd import Confd

NODES = "/calico/resources/v3/projectcalico.org/nodes"


def a_node(addr: str) -> bytes:
    return b'{"spec": {"bgp": {"ipv4Address": "%s/24"}}}' % addr.encode()


def test_a_text_is_written_only_when_it_is_another_one(tmp_path: Path) -> None:
    confd = Confd("one", tmp_path)
    items = {f"{NODES}/one": a_node("10.0.0.1"), f"{NODES}/two": a_node("10.0.0.2")}
    assert confd.take(Snapshot(1, items))
    assert "Mesh_10_0_0_2" in (tmp_path / "bird.cfg").read_text()
    assert not confd.take(Changes(2, {f"{NODES}/x": b"{"}, frozenset()))
    assert confd.take(Changes(3, {}, frozenset({f"{NODES}/two"})))
    assert "Mesh_10_0_0_2" not in (tmp_path / "bird.cfg").read_text()


def test_without_bird_the_answer_tells_so(tmp_path: Path) -> None:
    confd = Confd("one", tmp_path)
    confd.take(Snapshot(1, {f"{NODES}/one": a_node("10.0.0.1")}))
    assert confd.configure()
