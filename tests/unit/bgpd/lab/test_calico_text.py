"""BIRD's text for a node; that BIRD accepts it is shown where BIRD is installed."""

import json
import subprocess
from pathlib import Path

import pytest

from bgpd.lab.calico_objects import Objects
from bgpd.lab.calico_text import bird_text
from tests.support.routers import needs

RESOURCES = "/calico/resources/v3/projectcalico.org"
HOST = "/calico/ipam/v2/host/n9"


def a_text(*changes: tuple[str, dict[str, object]], state: str = "confirmed") -> str:
    """Return the text of node n9 in a cluster of two with one object of each kind."""
    specs: dict[str, dict[str, object]] = {
        "clusterinformations/default": {"calicoVersion": "v3.30.0"},
        "bgpconfigurations/default": {"asNumber": 64512},
        "ippools/pods": {"cidr": "10.244.0.0/16", "ipipMode": "Never"},
        "ippools/six": {"cidr": "fd10::/48"},
        "bgppeers/tor": {
            "peerIP": "10.0.0.254",
            "asNumber": 65000,
            "filters": ["beyond", "none"],
            "nextHopMode": "Self",
            "keepaliveTime": "20s",
            "ttlSecurity": 1,
        },
        "bgpfilters/beyond": {
            "exportV4": [
                {
                    "action": "Accept",
                    "matchOperator": "In",
                    "cidr": "10.2.0.0/16",
                    "prefixLength": {"min": 24},
                },
                {"action": "Reject", "source": "RemotePeers", "interface": "eth*"},
            ],
            "importV4": [{"action": "Accept"}],
        },
        "nodes/n9": {
            "bgp": {"ipv4Address": "10.0.0.9/24", "ipv6Address": "fd00::9/64"}
        },
        "nodes/n10": {
            "bgp": {"ipv4Address": "10.0.0.10/24", "ipv6Address": "fd00::10/64"}
        },
    }
    for key, spec in changes:
        specs[key] = {**specs.get(key, {}), **spec}
    items = {
        f"{RESOURCES}/{key}": json.dumps({"spec": spec}).encode()
        for key, spec in specs.items()
    }
    items[f"{HOST}/ipv4/block/10.244.9.0-26"] = json.dumps({"state": state}).encode()
    items[f"{HOST}/ipv4/block/10.244.8.1-32"] = b""
    items[f"{HOST}/ipv6/block/fd10::-122"] = b""
    return bird_text(Objects(items, "n9"))


RELEASES = ("v3.30.0", "v3.32.1", "v3.33.0")


@needs("calico-bird")
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("reflector", ["", "244.0.0.1"])
def test_bird_accepts_the_text(tmp_path: Path, release: str, reflector: str) -> None:
    bgp = {"ipv4Address": "10.0.0.9/24", "ipv6Address": "fd00::9/64"}
    if reflector:
        bgp["routeReflectorClusterID"] = reflector
    text = a_text(
        ("clusterinformations/default", {"calicoVersion": release}),
        ("nodes/n9", {"bgp": bgp}),
        ("ippools/off", {"cidr": "10.9.0.0/16", "disableBGPExport": True}),
        (
            "bgpconfigurations/default",
            {"serviceLoadBalancerIPs": [{"cidr": "10.8.0.0/24"}]},
        ),
    )
    path = tmp_path / "bird.cfg"
    path.write_text(text)
    argv = ["/usr/sbin/bird", "-p", "-c", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_block_is_a_blackhole_and_is_announced_without_what_lies_in_it():
    text = a_text()
    assert "route 10.244.9.0/26 blackhole;" in text
    assert "if net = 10.244.9.0/26 then accept;\n  if net ~ 10.244.9.0/26" in text
    assert "route 10.244.8.1/32" not in text, "one address has no rest"
    assert "if net = 10.244.8.1/32 then accept;" in text
    assert "route fd10::/122 blackhole;" in text


def test_a_pending_block_is_not_there_and_one_to_be_deleted_is_not_an_aggregate():
    assert "10.244.9.0/26" not in a_text(state="pending")
    text = a_text(state="pendingDeletion")
    assert "route 10.244.9.0/26 blackhole;" in text
    assert "net = 10.244.9.0/26" not in text


@pytest.mark.parametrize(
    ("release", "mode", "ipip", "is_rejected"),
    [
        ("v3.30.0", None, "Never", False),
        ("v3.30.0", None, "Always", True),  # BIRD 2 has no such tunnel
        ("v3.32.0", None, "Never", False),
        ("v3.32.0", "Disabled", "Never", True),
        ("v3.33.0", None, "Never", False),
        ("v3.33.0", "EnabledIPIPOnly", "Never", True),
    ],
)
def test_routes_of_a_pool_and_the_program_that_makes_them(
    release, mode, ipip, is_rejected
):
    text = a_text(
        ("clusterinformations/default", {"calicoVersion": release}),
        ("bgpconfigurations/default", {"programClusterRoutes": mode}),
        ("ippools/pods", {"ipipMode": ipip}),
    )
    kernel = text.split("filter calico_kernel_programming4")[1].partition("\n}")[0]
    assert ("if net ~ 10.244.0.0/16 then reject;" in kernel) is is_rejected


def test_priorities_go_into_local_pref_from_332_on():
    new = a_text(("clusterinformations/default", {"calicoVersion": "v3.32.0"}))
    assert "bgp_local_pref = 2147483647 - krt_metric;" in new
    assert "net ~ 10.244.9.0/26 && krt_metric < 1024 then accept" in new
    assert "krt_metric = 2147483647 - bgp_local_pref;" in new
    old = a_text()
    assert "bgp_local_pref" not in old


def test_a_bgp_filter_is_a_function_that_its_peer_calls():
    text = a_text()
    peer = text.split("protocol bgp Global_10_0_0_254")[1]
    assert "'bgp_beyond_exportV4'();\n      calico_export_to_bgp_peers4(false);" in peer
    assert "'bgp_beyond_importV4'();" in peer
    assert "bgp_none" not in peer
    assert "if (net ~ [ 10.2.0.0/16{24,32} ]) then accept;" in text
    assert 'if (source = RTS_BGP) && (ifname ~ "eth*") then reject;' in text


def test_a_peer_has_its_settings_and_one_protocol_per_ip_version():
    text = a_text()
    assert "ttl security on; multihop 1;" in text
    assert "next hop self;" in text
    assert "keepalive time 20;" in text
    assert "protocol bgp Mesh_10_0_0_10 {" in text
    assert "protocol bgp Mesh_fd00__10 {" in text
