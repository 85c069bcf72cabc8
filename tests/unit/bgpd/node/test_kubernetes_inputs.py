"""Passwords, services and workloads that vanish against all plausibility stay."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from bgpd.calico.endpoints import LocalEndpoint
from bgpd.calico.planner import Needs
from bgpd.calico.services import ServiceRanges, ServiceTable
from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.endpoint_status import Found
from bgpd.node.kubernetes_inputs import KubernetesInputs
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import until

SECRETS = frozenset({"bgp"})
NEEDED = Needs(
    SECRETS, ServiceRanges(("10.96.0.0/12",)), passwords=frozenset({("bgp", "rr")})
)


class Sides:
    """A follower with the input that Kubernetes' API would give it."""

    def __init__(self, folder: Path) -> None:
        settings = KubernetesSettings(is_enabled=False, endpoint_folder=str(folder))
        self.follower = KubernetesInputs(settings, "n1", removal_hold=3600)
        self.changes = 0
        self.follower.on_change = self._count
        self.follower.need(NEEDED)

    def _count(self) -> None:
        self.changes += 1

    def secret(self, **passwords: str) -> None:
        data = {
            key: b64encode(text.encode()).decode() for key, text in passwords.items()
        }
        self.follower.put("Secret", ("kube-system", "bgp"), {"data": data})

    def service(self, name: str) -> None:
        spec: dict[str, Any] = {
            "type": "ClusterIP",
            "clusterIP": f"10.96.0.{name[1:]}",
            "clusterIPs": [f"10.96.0.{name[1:]}"],
            "ipFamilies": ["IPv4"],
            "externalTrafficPolicy": "Local",
        }
        self.follower.put("Service", ("d", name), {"spec": spec})
        slices = {
            "metadata": {"labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.1.1.1"], "nodeName": "n1", "conditions": {}}
            ],
        }
        self.follower.put("EndpointSlice", ("d", name), slices)

    def announced(self) -> set[str]:
        found = self.follower._services.advertisement().announced
        return {cidr for cidr in found if cidr.endswith("/32")}

    @property
    def passwords(self) -> dict[tuple[str, str], str]:
        return dict(self.follower.inputs().passwords)

    def is_holding(self) -> bool:
        return bool(self.follower.guard.removals.holds)


@on_virtual_time
async def test_a_password_in_use_stays_until_its_loss_is_confirmed(
    tmp_path: Path,
) -> None:
    sides = Sides(tmp_path)
    sides.secret(rr="hush", old="psst")
    for vanish in (
        lambda: sides.follower.drop("Secret", ("kube-system", "bgp")),
        lambda: sides.secret(other="x"),
        lambda: sides.follower.put("Secret", ("kube-system", "bgp"), {"data": None}),
    ):
        sides.secret(rr="hush")
        vanish()
        assert sides.passwords["bgp", "rr"] == "hush"
        assert ("bgp", "old") not in sides.passwords  # it is not used
    sides.secret(rr="new")
    assert sides.passwords["bgp", "rr"] == "new"
    sides.follower.drop("Secret", ("kube-system", "bgp"))
    assert [str(each) for each in sides.follower.guard.confirm()] == [
        "1 of 1 passwords"
    ]
    await until(lambda: not sides.passwords)
    assert sides.changes == 1
    await sides.follower.close()


@on_virtual_time
async def test_a_password_that_is_no_longer_needed_goes(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    sides.secret(rr="hush")
    sides.follower.need(Needs())
    sides.follower.drop("Secret", ("kube-system", "bgp"))
    assert sides.passwords == {}


@on_virtual_time
async def test_services_stay_when_all_are_gone_and_one_goes_alone(
    tmp_path: Path,
) -> None:
    sides = Sides(tmp_path)
    for name in ("s1", "s2", "s3"):
        sides.service(name)
    everything = {"10.96.0.1/32", "10.96.0.2/32", "10.96.0.3/32"}
    assert sides.announced() == everything
    sides.follower.drop("Service", ("d", "s1"))
    await until(lambda: sides.announced() == everything - {"10.96.0.1/32"})
    assert sides.changes == 1
    for name in ("s2", "s3"):
        sides.follower.drop("Service", ("d", name))
        sides.follower.drop("EndpointSlice", ("d", name))
    await until(sides.is_holding)
    assert sides.announced() == everything - {"10.96.0.1/32"}
    for name in ("s2", "s3"):
        sides.service(name)
    assert not sides.is_holding()
    await sides.follower.close()


@on_virtual_time
async def test_services_that_are_no_longer_wanted_are_not_held(
    tmp_path: Path,
) -> None:
    sides = Sides(tmp_path)
    for name in ("s1", "s2"):
        sides.service(name)
    sides.follower.need(Needs())
    for name in ("s1", "s2"):
        sides.follower.drop("Service", ("d", name))
        sides.follower.drop("EndpointSlice", ("d", name))
    sides.follower.need(NEEDED)
    assert sides.announced() == set()
    assert sides.follower.guard.removals.due is None


@on_virtual_time
async def test_workloads_stay_when_all_are_gone_at_once(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    one, two = (LocalEndpoint(f"cali{i}", (f"10.1.1.{i}/32",), (), "p") for i in (1, 2))

    def tell(*endpoints: LocalEndpoint) -> None:
        found: Found = (endpoints, ())
        sides.follower._found(found)

    tell(one, two)
    tell(one)
    await until(lambda: sides.follower.inputs().endpoints == (one,))
    tell(one, two)
    tell()
    await until(sides.is_holding)
    await advance(600)
    assert sides.follower.inputs().endpoints == (one, two)
    tell(two)
    tell(one, two)
    assert sides.follower.inputs().endpoints == (one, two)
    assert not sides.is_holding()
    await sides.follower.close()


@on_virtual_time
async def test_services_are_decided_again_in_slices() -> None:
    table = ServiceTable("n1")
    for number in range(200):
        table.put_service(
            ("default", f"s{number}"),
            {"spec": {"clusterIP": "10.96.0.1", "externalIPs": [f"10.97.0.{number}"]}},
        )
    ranges = ServiceRanges(external_ips=("10.97.0.0/24",), is_aggregated=False)
    assert sum(1 for _ in table.follow_in_slices(ranges)) > 5
    assert sum(1 for _ in table.follow_in_slices(ranges)) == 0


@on_virtual_time
async def test_an_object_that_nothing_can_be_made_of_keeps_no_other_from_coming(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = KubernetesInputs(KubernetesSettings(is_enabled=False), "n1")
    service = {"spec": {"clusterIP": "10.96.0.1"}}
    with monkeypatch.context() as patched:

        def raising(*_: object) -> None:
            raise ZeroDivisionError("cursed")

        patched.setattr(ServiceTable, "put_service", raising)
        sides.put("Service", ("default", "bad"), service)
    sides.put("Service", ("default", "good"), service)
    (warning,) = sides.warnings()
    assert str(warning) == (
        "Service default/bad: ZeroDivisionError: cursed; keeps its previous state"
    )
    sides.put("Service", ("default", "bad"), service)
    assert sides.warnings() == ()


@on_virtual_time
async def test_an_excluded_node_needs_no_services_and_holds_none(
    tmp_path: Path,
) -> None:
    sides = Sides(tmp_path)
    for number in range(1, 5):
        sides.service(f"s{number}")
    assert len(sides.announced()) == 4
    sides.follower.need(NEEDED._replace(is_excluded=True))
    for number in range(1, 5):
        for kind in ("Service", "EndpointSlice"):
            sides.follower.drop(kind, ("d", f"s{number}"))
    await advance(120)
    assert not sides.is_holding()
    assert not sides.announced()
