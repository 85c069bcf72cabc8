"""Kubernetes' API, from a real HTTPS server that answers as the real one does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes import Access, KubernetesWatcher, Wants, find_access
from bgpd.datastore.model import DatastoreError
from tests.support.kubernetes_api import Api
from tests.support.speakers import on_both_loops, until

SERVICES = Wants(has_services=True)


class Told:
    """What was received: the objects as they stand."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.changes = 0

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        self.objects[kind, name[1]] = content

    def drop(self, kind: str, name: ObjectName) -> None:
        self.objects.pop((kind, name[1]), None)

    def changed(self) -> None:
        self.changes += 1

    @property
    def names(self) -> set[str]:
        return {name for _, name in self.objects}


async def with_api(
    folder: Path,
    wants: Wants,
    work: Callable[[Api, KubernetesWatcher, Told], Awaitable[None]],
) -> None:
    async with Api(folder) as api:
        for number in range(5):
            api.put("Service", f"s{number}", spec={"clusterIP": f"10.96.0.{number}"})
        api.put("Secret", "bgp", "kube-system", data={"rr": "aHVzaA=="})
        told = Told()
        watcher = KubernetesWatcher(Access(api.kubeconfig()), "kube-system", told)
        try:
            watcher.want(wants)
            await work(api, watcher, told)
        finally:
            await watcher.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.watcher.FIRST_DELAY", 0.02)


@on_both_loops
async def test_a_collection_is_listed_in_pieces_and_then_followed(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        assert told.names == {f"s{n}" for n in range(5)}
        assert told.objects["Service", "s1"]["spec"]["clusterIP"] == "10.96.0.1"
        await until(lambda: len(api._watches) == 2)
        api.put("Service", "new", spec={"clusterIP": "10.96.0.9"})
        api.delete("Service", "s0")
        api.put("Service", "s1", spec={"clusterIP": "10.96.0.77"})
        await until(lambda: told.names == {"s1", "s2", "s3", "s4", "new"})
        await until(
            lambda: told.objects["Service", "s1"]["spec"]["clusterIP"] == "10.96.0.77"
        )
        assert watcher.status.is_connected

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_only_the_secrets_that_are_wanted_are_asked_for(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.put("Secret", "other", "kube-system", data={})
        assert await watcher.wait_until_listed(10)
        assert told.names == {"bgp"}
        assert {path for path in api.requests if "services" in path} == set()
        watcher.want(Wants())
        assert told.names == set()
        watcher.want(Wants(frozenset({"other"})))
        assert await watcher.wait_until_listed(10)
        assert told.names == {"other"}

    await with_api(tmp_path, Wants(frozenset({"bgp"})), work)


@on_both_loops
async def test_a_connection_that_is_cut_loses_nothing(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.cut()
        api.delete("Service", "s3", silently=True)
        await until(lambda: "s3" not in told.names)
        assert told.names == {"s0", "s1", "s2", "s4"}

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_a_version_that_is_too_old_is_listed_anew(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.expired = True
        api.delete("Service", "s4", silently=True)
        api.cut()
        await until(lambda: "s4" not in told.names)
        await until(lambda: watcher.status.is_connected)

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_an_api_that_is_away_changes_nothing_that_was_told(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await api.stop()
        await until(lambda: not watcher.status.is_connected)
        assert len(told.names) == 5
        await api.start()
        api.put("Service", "later", spec={})
        await until(lambda: "later" in told.names, 20)
        await until(lambda: watcher.status.is_connected, 20)

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_an_error_is_told_and_tried_again(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.fault = 500
        watcher.want(Wants(frozenset({"bgp"})))
        await until(lambda: "it is not well" in watcher.status.last_error)
        assert not await watcher.wait_until_listed(0.05)
        assert "token" not in watcher.status.last_error
        api.fault = 0
        assert await watcher.wait_until_listed(10)
        assert told.names == {"bgp"}

    await with_api(tmp_path, Wants(), work)


@on_both_loops
async def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.token = "second"
        (tmp_path / "token").write_text("second")
        api.cut()
        await until(lambda: len(api._watches) == 2)
        api.put("Service", "later", spec={})
        await until(lambda: "later" in told.names)

    await with_api(tmp_path, SERVICES, work)


def test_credentials_are_those_of_a_file_else_of_the_pod_else_none(
    tmp_path: Path,
) -> None:
    assert find_access("", {}, tmp_path) is None
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert find_access("", inside, tmp_path) is None
    (tmp_path / "token").write_text("t")
    assert find_access("", inside, tmp_path) == Access(account=tmp_path)
    assert find_access("/etc/kubeconfig", inside, tmp_path) == Access("/etc/kubeconfig")


def test_a_file_that_cannot_be_used_is_told_by_name(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("- not a kubeconfig")
    for path in (bad, tmp_path / "nowhere"):

        async def want(path: Path = path) -> None:
            watcher = KubernetesWatcher(Access(str(path)), "kube-system", Told())
            watcher.want(SERVICES)

        with pytest.raises(DatastoreError, match=str(path)):
            asyncio.run(want())
