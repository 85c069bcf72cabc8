"""Which addresses of services a node announces."""

from typing import Any

import pytest

from bgpd.calico.services import (
    ServiceRanges,
    ServiceTable,
    advertise,
    service_ranges,
)

RANGES = ServiceRanges(
    cluster_ips=("10.96.0.0/12",),
    external_ips=("192.0.2.0/28", "198.51.100.7/32"),
    load_balancer_ips=("203.0.113.0/24", "203.0.114.9/32"),
)
WHOLE = {"10.96.0.0/12", "192.0.2.0/28", "203.0.113.0/24"}
Object = dict[str, Any]


def a_service(name: str = "web", **spec: Any) -> Object:
    status = {
        "loadBalancer": {"ingress": [{"ip": ip} for ip in spec.pop("ingress", ())]}
    }
    fields = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.5",
        "clusterIPs": ["10.96.0.5"],
        "ipFamilies": ["IPv4"],
        "externalTrafficPolicy": "Local",
        **spec,
    }
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": fields,
        "status": status,
    }


def a_slice(*nodes: str, service: str = "web", **more: Any) -> Object:
    ready = more.pop("ready", None)
    conditions = {} if ready is None else {"ready": ready}
    return {
        "metadata": {
            "namespace": "default",
            "name": more.pop("name", f"{service}-1"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": more.pop("family", "IPv4"),
        "endpoints": [{"nodeName": node, "conditions": conditions} for node in nodes],
    }


def announced(
    service: Object,
    *slices: Object,
    ranges: ServiceRanges = RANGES,
    is_excluded: bool = False,
) -> set[str]:
    """Return what is announced beside the ranges."""
    found = advertise(ranges, [service], slices, "n1", is_excluded=is_excluded)
    base = service_ranges(ranges, is_excluded=is_excluded).announced
    return set(found.announced - base)


def test_whole_ranges_are_announced_by_everybody_and_never_written() -> None:
    found = advertise(RANGES, [], [], "n1", is_excluded=False)
    assert found.announced == found.rejected == WHOLE
    apart = ServiceRanges(load_balancer_ips=("203.0.113.0/24",), is_aggregated=False)
    assert service_ranges(apart).announced == frozenset()
    single = ServiceRanges(cluster_ips=("10.96.0.1/32",))
    assert service_ranges(single).announced == {"10.96.0.1/32"}


def test_a_local_service_is_announced_where_it_has_a_ready_endpoint() -> None:
    service = a_service(
        externalIPs=["192.0.2.5", "8.8.8.8"], ingress=["203.0.113.9", "9.9.9.9"]
    )
    mine = {"10.96.0.5/32", "192.0.2.5/32", "203.0.113.9/32"}
    assert announced(service, a_slice("n1", "n2")) == mine
    assert announced(service, a_slice("n2")) == set()
    assert announced(service, a_slice("n1", ready=True)) == mine
    assert announced(service, a_slice("n1", ready=False)) == set()
    assert announced(service, a_slice("n1", family="IPv6")) == set()
    both = a_slice("n1", ready=False), a_slice("n1", name="web-2")
    assert announced(service, *both) == mine


@pytest.mark.parametrize(
    "change",
    [
        {"type": "ExternalName"},
        {"clusterIP": "None", "clusterIPs": ["None"]},
        {"clusterIP": "", "clusterIPs": []},
        {"externalTrafficPolicy": "Cluster"},
        {"externalTrafficPolicy": None, "externalIPs": ["198.51.100.7"]},
    ],
)
def test_other_services_are_not_announced_one_by_one(change: Object) -> None:
    assert announced(a_service(**change), a_slice("n1")) == set()


def test_a_cluster_wide_service_is_announced_where_its_address_stands_alone() -> None:
    wide = {"externalTrafficPolicy": "Cluster"}
    assert announced(a_service(**wide, externalIPs=["198.51.100.7"])) == {
        "10.96.0.5/32",
        "198.51.100.7/32",
    }
    assert announced(a_service(**wide, ingress=["203.0.114.9"])) == {
        "10.96.0.5/32",
        "203.0.114.9/32",
    }
    assert announced(a_service(**wide, ingress=["203.0.113.9"])) == set()


def test_without_aggregation_a_ready_endpoint_anywhere_is_enough() -> None:
    ranges = ServiceRanges(load_balancer_ips=("203.0.113.0/24",), is_aggregated=False)
    service = a_service(externalTrafficPolicy="Cluster", ingress=["203.0.113.9"])
    assert announced(service, a_slice("n9"), ranges=ranges) == {"203.0.113.9/32"}
    assert announced(service, ranges=ranges) == set()


def test_an_excluded_node_announces_nothing_and_still_writes_nothing() -> None:
    found = advertise(RANGES, [a_service()], [a_slice("n1")], "n1", is_excluded=True)
    assert found.announced == frozenset()
    assert found.rejected == WHOLE


def test_both_families_of_a_service_are_announced() -> None:
    service = a_service(
        clusterIPs=["10.96.0.5", "fd00:96::5"], ipFamilies=["IPv4", "IPv6"]
    )
    assert announced(service, a_slice("n1", family="IPv6")) == {
        "10.96.0.5/32",
        "fd00:96::5/128",
    }


def test_an_address_of_two_services_goes_with_the_last_of_them() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    for name in ("a", "b"):
        content = a_service(
            name,
            clusterIP=f"10.96.1.{ord(name)}",
            clusterIPs=[f"10.96.1.{ord(name)}"],
            externalIPs=["192.0.2.5"],
        )
        table.put_service(("default", name), content)
        table.put_slice(("default", f"{name}-1"), a_slice("n1", service=name))
    shared = "192.0.2.5/32"
    assert shared in table.advertisement().announced
    table.drop_service(("default", "a"))
    assert shared in table.advertisement().announced
    table.drop_slice(("default", "b-1"))
    assert table.advertisement().announced == WHOLE


def test_what_changes_nothing_costs_no_new_answer() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    table.put_service(("default", "web"), a_service())
    table.put_slice(("default", "web-1"), a_slice("n1"))
    before = table.advertisement()
    table.put_slice(("default", "web-1"), a_slice("n1", "n2"))
    table.put_service(("default", "far"), a_service("far"))
    assert table.advertisement() is before
    table.put_slice(("default", "web-1"), a_slice("n2"))
    assert table.advertisement().announced == WHOLE


def test_other_ranges_are_followed_at_once() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    table.put_service(("default", "web"), a_service())
    table.put_slice(("default", "web-1"), a_slice("n1"))
    assert "10.96.0.5/32" in table.advertisement().announced
    table.follow(ServiceRanges(external_ips=("192.0.2.0/28",)))
    assert table.advertisement().announced == {"192.0.2.0/28"}


@pytest.mark.parametrize(
    "bad",
    [
        {"spec": [1]},
        {"spec": {"clusterIP": "x", "clusterIPs": ["x"], "type": "ClusterIP"}},
        {"spec": {"clusterIP": "10.96.0.1", "externalIPs": 7}},
        {
            "spec": {"clusterIP": "10.96.0.1"},
            "status": {"loadBalancer": {"ingress": [3]}},
        },
    ],
)
def test_an_unreadable_service_is_reported_and_leaves_the_others(
    bad: Object,
) -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    table.put_service(("default", "web"), a_service())
    table.put_slice(("default", "web-1"), a_slice("n1"))
    before = table.advertisement()
    table.put_service(("default", "bad"), bad)
    assert table.advertisement() == before
    (warning,) = table.warnings
    assert warning.key == "Service default/bad"
    table.drop_service(("default", "bad"))
    assert not table.warnings


def test_a_bad_address_leaves_the_service_its_others() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    service = a_service(ingress=("10.1.2.3/32",))
    table.put_service(("default", "web"), service)
    table.put_slice(("default", "web-1"), a_slice("n1"))
    assert "10.96.0.5/32" in table.advertisement().announced
    (warning,) = table.warnings
    assert "10.1.2.3/32" in warning.text
    table.put_service(("default", "web"), a_service())
    assert not table.warnings


def test_a_requested_address_counts_only_without_an_assigned_one() -> None:
    wide = {"externalTrafficPolicy": "Cluster"}
    asked = {"loadBalancerIP": "203.0.114.9"}
    assert announced(a_service(**wide, **asked)) == {"10.96.0.5/32"}
    assert announced(a_service(**wide, **asked, type="NodePort")) == set()
    # The address that was assigned is announced, the requested one is not.
    assert announced(a_service(**asked), a_slice("n1")) == {"10.96.0.5/32"}


def test_cluster_addresses_are_announced_also_outside_the_ranges() -> None:
    service = a_service(clusterIP="172.30.0.1", clusterIPs=["172.30.0.1"])
    assert announced(service, a_slice("n1")) == {"172.30.0.1/32"}
    ranges = ServiceRanges(external_ips=("192.0.2.0/28",))
    assert announced(service, a_slice("n1"), ranges=ranges) == set()


def test_an_address_with_a_zone_is_reported_and_leaves_the_others() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    table.put_slice(("default", "web-1"), a_slice("n1"))
    addresses = ["10.96.0.5", "fe80::5%eth0"]
    table.put_service(("default", "web"), a_service(clusterIPs=addresses))
    assert table.advertisement().announced == {*WHOLE, "10.96.0.5/32"}
    (warning,) = table.warnings
    assert "fe80::5%eth0" in warning.text


def test_a_balancer_known_by_a_name_alone_is_nothing_to_announce_or_tell() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    service = a_service()
    service["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example.net"}]}}
    table.put_slice(("default", "web-1"), a_slice("n1"))
    table.put_service(("default", "web"), service)
    assert table.advertisement().announced == {*WHOLE, "10.96.0.5/32"}
    assert not table.warnings


def test_a_slice_may_come_first_and_may_become_another_services() -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    name = ("default", "slice")
    table.put_slice(name, a_slice("n1"))
    assert table.advertisement().announced == WHOLE
    table.put_service(("default", "web"), a_service())
    assert table.advertisement().announced == {*WHOLE, "10.96.0.5/32"}
    table.put_slice(name, a_slice("n1", service="other"))
    assert table.advertisement().announced == WHOLE


@pytest.mark.parametrize("endpoints", [7, [None], ["n1"], {"nodeName": "n1"}])
def test_an_unreadable_slice_keeps_its_last_valid_value(endpoints: Any) -> None:
    table = ServiceTable("n1")
    table.follow(RANGES)
    table.put_service(("default", "web"), a_service())
    table.put_slice(("default", "web-1"), a_slice("n1"))
    before = table.advertisement()
    bad = {**a_slice("n1"), "endpoints": endpoints}
    table.put_slice(("default", "web-1"), bad)
    assert table.advertisement() == before
    (warning,) = table.warnings
    assert warning.key == "EndpointSlice default/web-1"
    table.drop_slice(("default", "web-1"))
    assert not table.warnings
