"""Whose programs a lab's routers run: installed ones, or those of a folder."""

import pytest

from bgpd.lab.errors import LabError
from bgpd.lab.lab import Lab
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.topology import Topology


def test_installed_ones_by_default(monkeypatch):
    monkeypatch.delenv("PEERS_FOLDER", raising=False)
    assert Bird.program("birdc") == "/usr/sbin/birdc"
    assert Frr.program("vtysh") == "vtysh"
    assert Frr.program("ospfd") == "/usr/lib/frr/ospfd"


def test_those_of_the_environments_folder_where_it_has_them(tmp_path, monkeypatch):
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird/bird").touch(mode=0o755)
    monkeypatch.setenv("PEERS_FOLDER", str(tmp_path))
    assert Bird.program("bird") == f"{tmp_path}/bird/bird"
    assert Frr.program("bgpd") == "/usr/lib/frr/bgpd"


def test_those_of_the_topologys_folder_before_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PEERS_FOLDER", "/nowhere")
    assert Bird.program("bird", str(tmp_path)) == f"{tmp_path}/bird"
    assert not Bird.is_installed(str(tmp_path))
    for name in ("bird", "birdc"):
        (tmp_path / name).touch(mode=0o755)
    assert Bird.is_installed(str(tmp_path))


def test_a_folder_without_them_is_named(tmp_path):
    router = {"kind": "bird", "programs": str(tmp_path)}
    machine = {"addresses": ["10.0.0.1/24"], "router": router}
    lab = Lab(Topology.model_validate({"nodes": {"one": machine}}))
    with pytest.raises(LabError, match=f"bird is not installed in {tmp_path}"):
        lab.router("one")
