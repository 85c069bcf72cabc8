"""The settings of a reflector that is described on the command line alone."""

from typing import Any

import pytest

from bgpd.config.reflector_preset import reflector_settings
from bgpd.config.settings import DaemonSettings, DatastoreKind
from rib.family import IPV4_UNICAST, IPV6_UNICAST


def settings(**changes: Any) -> DaemonSettings:
    fields: dict[str, Any] = {
        "listen": ("192.0.2.1", "2001:db8::1"),
        "port": 179,
        "asn": 64512,
        "router_id": "10.0.0.1",
        "cluster_id": "",
        "clients": ("10.0.0.0/8", "2001:db8::/32"),
        "has_fib": False,
        "control_path": "",
        "hold_time": 90,
        "log_level": "info",
        "max_clients": 10,
    }
    return reflector_settings(**(fields | changes))


def test_any_peer_that_connects_from_the_prefixes_is_a_client_of_both_families() -> (
    None
):
    made = settings()
    assert [entry.prefix for entry in made.ranges] == ["10.0.0.0/8", "2001:db8::/32"]
    assert len({entry.name for entry in made.ranges}) == 2
    for entry in made.ranges:
        assert entry.limit == 10
        assert entry.template.is_client
        assert not entry.template.is_passive  # after a restart, we connect too
        assert entry.template.remote_as == entry.template.local_as == 64512
        families = [mine.family for mine in entry.template.families]
        assert families == [IPV4_UNICAST, IPV6_UNICAST]
    assert not made.peers
    assert made.datastore.kind is DatastoreKind.NONE


@pytest.mark.parametrize("has_fib", [True, False])
def test_only_one_that_forwards_judges_next_hops(has_fib: bool) -> None:  # noqa: FBT001  # pytest's parameter
    made = settings(has_fib=has_fib)
    assert made.fib.is_enabled is has_fib
    assert made.trusts_next_hops is not has_fib
