"""What a start does first: claim, listen, and let who connects wait."""

import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from bgpd.config.reflector_preset import reflector_settings
from bgpd.config.settings import DatastoreKind, DatastoreSettings
from bgpd.daemon.errors import StartError
from bgpd.daemon.startup_claim import claim_startup
from bgpd.speaker.remembered_peers import encode_head
from tests.support.speakers import own_network

PORT = 17914


def some_settings(path: str, *listen: str):
    return reflector_settings(
        listen=listen,
        port=PORT,
        asn=64512,
        router_id="10.0.0.1",
        cluster_id="",
        clients=["127.0.0.0/8"],
        has_fib=False,
        control_path=path,
        hold_time=90,
        log_level="info",
        max_clients=100,
    )


def connects(address: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, PORT)) == 0


def test_it_listens_where_it_can_before_anything_else(tmp_path) -> None:
    network = own_network()
    here, taken = f"{network}.1", f"{network}.2"
    settings = some_settings(str(tmp_path / "c.sock"), here, taken, here)
    with socket.socket() as other:
        other.bind((taken, PORT))
        other.listen()
        claim = claim_startup(settings)
        assert list(claim.sockets) == [(here, PORT)]
        assert connects(here)
        claim.close()
    assert not connects(here)


def test_a_second_daemon_does_not_listen(tmp_path) -> None:
    network = own_network()
    path = str(tmp_path / "c.sock")
    first = claim_startup(some_settings(path, f"{network}.1"))
    with pytest.raises(StartError, match="another daemon uses it"):
        claim_startup(some_settings(path, f"{network}.2"))
    assert not connects(f"{network}.2")
    first.close()
    claim_startup(some_settings(path, f"{network}.2")).close()


def test_where_only_a_datastore_knows_the_address_it_is_where_it_was(tmp_path) -> None:
    network = own_network()
    settings = replace(
        some_settings(str(tmp_path / "c.sock"), f"{network}.1"),
        datastore=DatastoreSettings(DatastoreKind.ETCD),
    )
    claim = claim_startup(settings)
    assert not claim.sockets, "the addresses are not known yet"
    claim.close()
    before = encode_head([(f"{network}.2", PORT)])
    (tmp_path / "c.peers").write_text(before, encoding="utf-8")
    claim = claim_startup(settings)
    assert list(claim.sockets) == [(f"{network}.2", PORT)]
    claim.close()


def test_the_daemon_that_takes_the_sockets_over_has_them(tmp_path) -> None:
    network = own_network()
    claim = claim_startup(some_settings(str(tmp_path / "c.sock"), f"{network}.1"))
    ((_, sock),) = claim.hand_over().items()
    claim.close()
    assert connects(f"{network}.1")
    sock.close()


def test_little_is_loaded_before_it_listens() -> None:
    code = """
import sys
import bgpd.daemon.startup_claim as module
from bgpd.daemon.errors import StartError
def claim_startup(_):
    heavy = {"asyncio", "uvloop", "aiohttp", "bgpd.daemon.daemon", "rib.loc_rib"}
    raise StartError(f"loaded: {sorted(heavy & set(sys.modules))}")
module.claim_startup = claim_startup
from bgpd.cli.daemon import main
main(["reflector", "--as", "1", "--router-id", "10.0.0.1", "--clients", "10.0.0.0/8"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == "pybgpd: loaded: []\n"
