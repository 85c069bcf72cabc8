"""Felix' files of local workloads that peer with their node."""

import json
from typing import Any

import pytest

from bgpd.calico.endpoints import EndpointError, LocalEndpoint, parse_endpoint


def test_a_workload_is_its_device_addresses_and_peer() -> None:
    content = {
        "ifaceName": "cali1",
        "mac": "ee:ee:ee:ee:ee:ee",
        "ipv4Nets": ["10.244.1.5/32"],
        "ipv6Nets": ["fd00:0:0::5/128"],
        "bgpPeerName": "pods",
        "later": [1],
    }
    workload = LocalEndpoint("cali1", ("10.244.1.5/32",), ("fd00::5/128",), "pods")
    assert parse_endpoint(content) == workload
    text = json.dumps(content)
    assert parse_endpoint(text) == parse_endpoint(text.encode()) == workload


@pytest.mark.parametrize("absent", [{}, {"ipv4Nets": None, "bgpPeerName": None}])
def test_what_is_not_there_is_empty(absent: Any) -> None:
    assert parse_endpoint(absent) == LocalEndpoint("", (), (), "")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        ("[" * 100_000, "has 100000 octets; the limit is 65536"),
        ("7", "is not a JSON object"),
        ({"ifaceName": 7}, "ifaceName is not text"),
        ({"bgpPeerName": ["pods"]}, "bgpPeerName is not text"),
        ({"ipv4Nets": "10.0.0.1/32"}, "ipv4Nets is not a list"),
        ({"ipv4Nets": ["10.0.0.256/32"]}, "ipv4Nets: "),
        ({"ipv4Nets": ["fd00::5/128"]}, "ipv4Nets: "),
        # Python takes whole numbers for addresses.
        ({"ipv4Nets": [7]}, "ipv4Nets has an item that is not text"),
        ({"ipv6Nets": [True]}, "ipv6Nets has an item that is not text"),
    ],
)
def test_what_cannot_be_understood_names_the_field(content: Any, text: str) -> None:
    with pytest.raises(EndpointError, match=text):
        parse_endpoint(content)
