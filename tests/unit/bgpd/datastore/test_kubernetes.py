"""Kubernetes' API, from a real HTTPS server that answers as the real one does."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self, cast

import pytest

from bgpd.calico.services import ObjectName
from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes import Access, KubernetesWatcher, Wants, find_access
from bgpd.datastore.kubernetes.client import EXPIRED, OPEN, ApiClient, Piece
from bgpd.datastore.kubernetes.collection import RESUMES, SILENCE, Collection
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.model import DatastoreError
from tests.support.kubernetes_api import Api, certificates
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import on_both_loops, until

SERVICES = Wants(has_services=True)
NOTHING = KubernetesSettings()


class Told:
    """What was received: the objects as they stand."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.changes = 0

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        self.objects[kind, name[1]] = content

    def drop(self, kind: str, name: ObjectName) -> None:
        self.objects.pop((kind, name[1]), None)

    def changed(self, *, is_loss: bool = False) -> None:
        assert not is_loss
        self.changes += 1

    @property
    def names(self) -> set[str]:
        return {name for _, name in self.objects}


async def settled(api: Api, watcher: KubernetesWatcher) -> None:
    """Wait for the end of TLS handshakes: httpx2 leaves cancelled ones to the garbage."""
    if not (api.fault or api.retry_after or api.is_hasty):
        await until(lambda: len(api._watches) >= len(watcher._tasks), 20)
        await until(lambda: watcher.status.is_connected, 20)


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
            await settled(api, watcher)
        finally:
            await watcher.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.FIRST_DELAY", 0.02)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.RELIST_SPREAD", 0.02)
    # The network in memory holds a TLS handshake up now and then; httpx2 gives it up itself.
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.ANSWER_TIME", 600.0)


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
async def test_only_the_secrets_that_are_wanted_are_requested(tmp_path: Path) -> None:
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
        api.delete("Service", "s3")
        await until(lambda: "s3" not in told.names)
        assert told.names == {"s0", "s1", "s2", "s4"}
        assert api.count("Service", watches=False) == 1  # it went on from there

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_a_version_that_is_too_old_leads_to_a_new_list(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.cut()
        api.delete("Service", "s4")
        api.forget()
        await until(lambda: "s4" not in told.names)
        await until(lambda: watcher.status.is_connected)
        assert not watcher.status.last_error

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_an_api_that_is_away_takes_nothing_back(
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


def test_nodes_whose_version_is_too_old_do_not_list_in_one_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.RELIST_SPREAD", 5.0)
    random.seed(7)
    query = Query("Service", "api/v1/services", reads_cache=True)
    waits = []
    for _ in range(100):
        collection = Collection(query, Access("none").connect, Told(), lambda _: None)
        waits.append(collection._fail(ApiError("gone", EXPIRED)))
    assert 0 <= min(waits) < 0.5
    assert 4.5 < max(waits) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("reads_cache", [True, False])
@pytest.mark.parametrize("fault", [0, 429, 503])
@on_both_loops
async def test_an_outage_of_any_length_is_no_reason_to_list_much_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int, *, reads_cache: bool
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.MAX_DELAY", 0.05)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.SMALL", -1)
    query = Query("Service", "api/v1/services", reads_cache=reads_cache)
    async with Api(tmp_path) as api:
        api.put("Service", "first", spec={})
        told = Told()
        access = Access(api.kubeconfig())
        collection = Collection(query, access.connect, told, lambda _: None)
        task = asyncio.create_task(collection.follow())
        try:
            await until(lambda: collection.is_followed, 20)
            if fault:
                api.fault = fault
                api.cut()
            else:
                await api.stop()
            await until(lambda: collection._failures > 2 * RESUMES, 30)
            api.put("Service", "later", spec={})
            api.fault = 0
            if not fault:
                await api.start()
            await until(lambda: "later" in told.names, 30)
            await until(lambda: collection.is_followed, 20)
            lists = [asked for _, asked in api.asked if not asked.get("watch")]
            assert len([each for each in lists if each.get("limit") != "1"]) == 1
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@on_both_loops
async def test_an_error_is_logged_and_the_request_tried_again(tmp_path: Path) -> None:
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


@on_virtual_time
async def test_a_server_that_asks_to_wait_is_not_asked_before(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.fault, api.retry_after = 429, "60"
        watcher.want(Wants(frozenset({"bgp"})))
        await until(lambda: "429: it is not well" in watcher.status.last_error)
        api.fault = 0
        await advance(55)
        assert api.count("Secret", watches=False) == 1
        assert not told.names
        api.retry_after = ""
        await advance(10)
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
    assert find_access(NOTHING, {}, tmp_path) is None
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert find_access(NOTHING, inside, tmp_path) is None
    (tmp_path / "token").write_text("t")
    assert find_access(NOTHING, inside, tmp_path) == Access(account=tmp_path)
    given = KubernetesSettings(kubeconfig="/etc/kubeconfig")
    found = find_access(given, inside, tmp_path)
    assert found == Access("/etc/kubeconfig", over=given)


def test_clients_that_are_opened_together_read_the_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(tmp_path)
    api = Api(tmp_path)
    api.port = 6443
    file = Path(api.kubeconfig())
    access = Access(str(file))
    access.connect()
    file.write_text("[]")
    access.connect()
    monkeypatch.setattr("bgpd.datastore.kubernetes.access.READ_AGAIN", -1.0)
    with pytest.raises(DatastoreError, match="expected a kubeconfig"):
        access.connect()


def misleading(kubeconfig: Path) -> tuple[str, str]:
    """Spoil a kubeconfig; return the server and the CA that it had."""
    text = kubeconfig.read_text()
    right = re.search(r"server: (\S+)", text)
    certificate = re.search(r"certificate-authority: (\S+)", text)
    assert right is not None
    assert certificate is not None
    text = text.replace(right[1], "https://127.0.0.1:1")
    kubeconfig.write_text(text.replace(certificate[1], "/nowhere/ca.pem"))
    return right[1], certificate[1]


@on_both_loops
async def test_what_is_given_beside_the_credentials_counts(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "s", spec={})
        kubeconfig = Path(api.kubeconfig())
        server, certificate = misleading(kubeconfig)
        given = KubernetesSettings(
            kubeconfig=str(kubeconfig), server=server, ca_file=certificate
        )
        access = find_access(given, {})
        assert access is not None
        async with access.connect() as client:
            assert (await client.get("api/v1/services"))["items"]


@on_both_loops
async def test_a_bookmark_saves_a_quiet_collection_from_a_new_list(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.put("Secret", "other", "kube-system", data={})
        api.bookmark()
        api.forget()
        api.cut()
        await until(lambda: api.count("EndpointSlice", watches=True) == 2)
        api.put("EndpointSlice", "later", endpoints=None)
        await until(lambda: "later" in told.names)
        assert api.count("EndpointSlice", watches=False) == 1

    await with_api(tmp_path, SERVICES, work)


@on_virtual_time
async def test_a_server_that_fell_silent_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.WATCH_TIME", 1)
    monkeypatch.setattr("bgpd.datastore.kubernetes.client.GRACE", 0.2)

    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.is_frozen = True
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.put("Service", "unheard", spec={})
        await until(lambda: not watcher.status.is_connected)
        api.is_frozen = False
        await until(lambda: "unheard" in told.names)

    await with_api(tmp_path, SERVICES, work)


class ScriptedClient:
    """An API whose watches say what a test wants of them, and then nothing."""

    def __init__(self, *watches: tuple[str, ...]) -> None:
        self.watches = [*watches]
        self.count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def knows(self, _query: Query, _version: str) -> bool:
        return True

    async def cached(self, _query: Query, _version: str) -> AsyncIterator[Piece]:
        yield Piece([], "1")

    async def watch(
        self, _query: Query, _version: str, _seconds: float
    ) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        verbs = self.watches[min(self.count, len(self.watches) - 1)]
        self.count += 1
        for verb in verbs:
            yield verb, {"metadata": {"resourceVersion": "2"}}
        await advance(10_000)


@on_virtual_time
async def test_silence_means_something_in_a_watch_that_has_sent_a_bookmark() -> None:
    api = ScriptedClient((OPEN, "BOOKMARK"), (OPEN,))
    query = Query("Service", "api/v1/services", reads_cache=True)
    collection = Collection(query, lambda: cast(ApiClient, api), Told(), lambda _: None)
    task = asyncio.create_task(collection.follow())
    try:
        await advance(SILENCE - 1)
        assert (api.count, collection.is_followed) == (1, True)
        await advance(20)
        assert (api.count, collection.is_followed) == (2, True)
        # Of a server that was started meanwhile: it has sent none yet.
        await advance(20 * SILENCE)
        assert (api.count, collection.is_followed) == (2, True)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_both_loops
async def test_a_server_that_is_starting_and_knows_no_kind_is_asked_again_soon(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.fault = 404
        watcher.want(SERVICES)
        collections = [*watcher._collections.values()]
        await until(lambda: all(each.fault.problem for each in collections))
        assert not any(each.fault.is_absent for each in collections)
        api.fault = 0
        await until(lambda: told.names == {f"s{n}" for n in range(5)})

    await with_api(tmp_path, Wants(), work)


@on_both_loops
async def test_a_kind_that_a_group_lacks_is_absent_and_looked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.ABSENT_DELAY", 0.5)

    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.absent = "EndpointSlice"
        watcher.want(SERVICES)
        (slices,) = (
            each
            for each in watcher._collections.values()
            if each.query.kind == "EndpointSlice"
        )
        await until(lambda: slices.fault.is_absent)
        await until(lambda: len(told.names) == 5)
        api.absent = ""
        await until(lambda: watcher.status.is_connected, 20)
        assert not slices.fault.is_absent

    await with_api(tmp_path, Wants(), work)


@pytest.mark.slow
@on_both_loops
async def test_a_watch_that_is_not_answered_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.ANSWER_TIME", 1.0)

    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: watcher.status.is_connected)
        api.is_mute = True
        api.cut()
        await until(lambda: "no answer for 1 s" in watcher.status.last_error, 30)
        assert not watcher.status.is_connected
        assert len(told.names) == 5
        api.is_mute = False
        api.put("Service", "later", spec={})
        await until(lambda: "later" in told.names, 60)
        await until(lambda: watcher.status.is_connected, 60)

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_rejected_watches_do_not_list_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.watch_fault = 403
        await until(lambda: api.count("Service", watches=True) >= 5)
        assert told.names == {f"s{n}" for n in range(5)}
        assert api.count("Service", watches=False) <= 2
        assert not watcher.status.is_connected

        def lines() -> list[str]:
            return [line for line in caplog.messages if "Service" in line]

        await until(lambda: bool(lines()))
        await until(lambda: api.count("Service", watches=True) >= 7)
        (line,) = lines()  # logged once, however often it is tried
        assert "EndpointSlice, Service: https://127.0.0.1" in line
        assert line.endswith("what was read stays in force until the role grants it")
        api.watch_fault = 0
        await until(lambda: watcher.status.is_connected)

    await with_api(tmp_path, SERVICES, work)


@on_virtual_time
async def test_watches_that_end_at_once_are_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.FIRST_DELAY", 30.0)

    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.is_hasty = True
        assert await watcher.wait_until_listed(10)
        await until(lambda: api.count("EndpointSlice", watches=True) >= 1)
        await advance(10)
        assert api.count("EndpointSlice", watches=True) == 1
        await advance(600)
        assert 10 < api.count("EndpointSlice", watches=True) < 40
        assert told.names == {f"s{n}" for n in range(5)}
        api.is_hasty = False
        await advance(60)

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_text_may_hold_whatever_ends_a_line_elsewhere(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.put("Service", "odd", labels={"note": "a\x85b\u2028c\u2029d"}, spec={})
        await until(lambda: "odd" in told.names)
        assert told.objects["Service", "odd"]["metadata"]["labels"]["note"][1] == "\x85"
        assert api.count("Service", watches=True) == 1

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_objects_of_any_shape_come_through_and_leave_the_others(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.put("Service", "bad", spec=[1])
        assert await watcher.wait_until_listed(10)
        assert told.names == {"bad", *(f"s{n}" for n in range(5))}
        await until(lambda: len(api._watches) == 2)
        for line in ("", "[]", '{"type": "ADDED", "object": 7}', '{"type": "NEW"}'):
            api.send(line, "Service")
        api.put("Service", "worse", spec={"clusterIPs": 7})
        await until(lambda: "worse" in told.names)
        assert api.count("Service", watches=True) == 1

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_a_line_that_is_not_json_is_logged_and_the_watch_tried_again(
    tmp_path: Path,
) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        assert await watcher.wait_until_listed(10)
        await until(lambda: len(api._watches) == 2)
        api.send("<html>", "Service")
        await until(lambda: "is not JSON" in watcher.status.last_error)
        api.put("Service", "later", spec={})
        await until(lambda: "later" in told.names)
        await until(lambda: watcher.status.is_connected)

    await with_api(tmp_path, SERVICES, work)


@on_both_loops
async def test_a_pod_uses_its_account_and_the_token_that_kubelet_renews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
        (account / "ca.crt").write_bytes((tmp_path / "cert.pem").read_bytes())
        (account / "namespace").write_text("kube-system")
        (account / "token").write_text("first\n")
        told = Told()
        watcher = KubernetesWatcher(Access(account=account), "kube-system", told)
        watcher.want(SERVICES)
        try:
            await until(lambda: len(api._watches) == 2)
            assert told.names == {"one"}
            api.token = "second"
            (account / "token").write_text("second\n")
            api.cut()
            api.put("Service", "two", spec={})
            await until(lambda: told.names == {"one", "two"})
            assert not watcher.status.last_error
            await settled(api, watcher)
        finally:
            await watcher.close()


@on_both_loops
async def test_a_token_inside_the_kubeconfig_is_read_again(tmp_path: Path) -> None:
    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        api.put("Service", "inside", spec={})
        await until(lambda: "Unauthorized" in watcher.status.last_error)
        api.kubeconfig(has_token_inside=True)
        await until(lambda: "inside" in told.names)

    async with Api(tmp_path) as api:
        path = api.kubeconfig(has_token_inside=True)
        api.token = "second"
        told = Told()
        watcher = KubernetesWatcher(Access(path), "kube-system", told)
        watcher.want(SERVICES)
        try:
            await work(api, watcher, told)
            await settled(api, watcher)
        finally:
            await watcher.close()


@on_both_loops
async def test_credentials_that_come_later_are_used_then(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        api.kubeconfig()
        text = (tmp_path / "kubeconfig").read_text()
        file = tmp_path / "later"
        told = Told()
        watcher = KubernetesWatcher(Access(str(file)), "kube-system", told)
        watcher.want(SERVICES)
        try:
            await until(lambda: str(file) in watcher.status.last_error)
            file.write_text("- not a kubeconfig")
            await until(lambda: "not found" not in watcher.status.last_error)
            assert str(file) in watcher.status.last_error
            file.write_text(text)
            await until(lambda: told.names == {"one"})
            await until(lambda: watcher.status.is_connected)
        finally:
            await watcher.close()


@on_both_loops
async def test_an_answer_that_is_too_large_is_requested_in_smaller_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.client.ANSWER_OCTETS", 150_000)

    async def work(api: Api, watcher: KubernetesWatcher, told: Told) -> None:
        for name in ("large-1", "large-2"):
            api.put("Service", name, spec={"text": "x" * 100_000})
        assert await watcher.wait_until_listed(10)
        assert {"large-1", "large-2", "s0"} <= told.names

    await with_api(tmp_path, SERVICES, work)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x, x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1 or ''}, *a{n - 1 or ''}]" for n in range(1, 40)), "the limit is 20000"),
        ("clusters: !!python/object/apply:os.abort []\n", "tag"),
        ("current-context: a\ncontexts: {}\n", "contexts: expected a list, found {}"),
        ("# " + "x" * (2 << 20), "octets; the limit is 1048576"),
    ],
    ids=["aliases", "tag", "type", "large"],
)  # fmt: skip
def test_a_kubeconfig_is_read_within_limits(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(DatastoreError, match=re.escape(said)) as caught:
        Access(str(file)).connect()
    assert str(file) in str(caught.value)


def test_only_a_file_is_a_kubeconfig_or_a_certificate(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(DatastoreError, match="is a FIFO"):
        Access(str(fifo)).connect()
    file = tmp_path / "kubeconfig"
    file.write_text(
        "current-context: a\nusers: []\n"
        "contexts: [{name: a, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1', "
        f"certificate-authority: {fifo}}}}}]\n"
    )
    with pytest.raises(DatastoreError, match="is a FIFO"):
        Access(str(file)).connect()
