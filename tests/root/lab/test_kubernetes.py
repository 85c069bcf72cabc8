"""A cluster on Kubernetes' API loses the API, its etcd and all reflectors, and no ping.

Meanwhile three nodes' daemons are restarted, and a fourth node is rebooted: of its pod alone
pings may be lost. All timers are those of the manifests in ``configs/kubernetes``.
"""

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.kube_apiserver import missing
from tests.support.labs import (
    STEP_TIME,
    a_cluster,
    a_topology,
    all_reach_all,
    an_object,
    gateways,
    kernel_routes,
    pinging,
)
from tests.support.routers import eventually, needs_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    needs_root,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
]

NODES = {f"node-{number}": number for number in range(11, 16)}
REFLECTORS = {"reflector-21": "10.0.0.21", "reflector-22": "10.0.0.22"}
BLOCKS = {f"10.244.{number}.0/26": f"10.0.0.{number}" for number in NODES.values()}
STOPPED, KILLED, KILLED_TWICE, UNTOUCHED, REBOOTED = NODES
NEW_BLOCK = "10.244.77.0/26"
OUTAGE_TIME = 120.0  # seconds: by the end of an outage, daemons ask the API every 30 s


def daemon(lab: Lab, name: str) -> PyBgpd:
    router = lab.routers[name]
    assert isinstance(router, PyBgpd)
    return router


def has_kernel(lab: Lab, name: str, blocks: dict[str, str]) -> bool:
    """Whether a node's kernel has exactly these blocks, less its own."""
    own = f"10.0.0.{NODES[name]}"
    wanted = {b: f"{addr} eth0" for b, addr in blocks.items() if addr != own}
    return gateways(lab, name) == wanted


def knows_all(lab: Lab, name: str, blocks: dict[str, str]) -> bool:
    """Whether a node has exactly these blocks, fresh, from each reflector."""
    own = f"10.0.0.{NODES[name]}"
    router = daemon(lab, name)
    addrs = {peer["name"]: peer["address"] for peer in router.ask("show-peers")}
    found = {
        (row["prefix"], addrs.get(row["peer"]), row["is_stale"])
        for row in router.ask("show-routes", family="ipv4-unicast")
        if row["source"] == "ibgp"
    }
    return found == {
        (block, reflector, False)
        for block, addr in blocks.items()
        if addr != own
        for reflector in REFLECTORS.values()
    }


def all_settled(lab: Lab, blocks: dict[str, str]) -> None:
    for name in NODES:
        assert eventually(
            lambda n=name: knows_all(lab, n, blocks) and has_kernel(lab, n, blocks),  # type: ignore[misc]
            OUTAGE_TIME,
        ), (name, kernel_routes(lab, name), daemon(lab, name).routes())


def datastore(lab: Lab, name: str) -> dict[str, object]:
    (status,) = daemon(lab, name).ask("show-status")
    found: dict[str, object] = status["datastore"]
    return found


def all_saved(lab: Lab) -> None:
    """Wait until each daemon has the whole cluster on disk."""
    for name in (*NODES, *REFLECTORS):
        path = daemon(lab, name).saved_state_path
        assert eventually(
            lambda p=path: p.exists() and "reflector-22" in p.read_text(),  # type: ignore[misc]
            STEP_TIME,
        ), name


def reboot(lab: Lab, name: str) -> None:
    """Take from a node what a reboot takes: processes, routes, and what is below /run."""
    router = daemon(lab, name)
    router.kill()
    namespace = lab.namespace(name)
    namespace.run(["ip", "nexthop", "flush"])
    for prefix, route in kernel_routes(lab, name).items():
        if route.get("protocol") == "bird":
            namespace.run(["ip", "route", "del", prefix, "proto", "bird"])
    for path in router.folder.glob("pybgpd.*"):
        if path.suffix != ".yaml":
            path.unlink()


def restart_daemons(lab: Lab) -> None:
    """Restart daemons, each in its way; one of them crashes in the midst of its start."""
    for name in (STOPPED, KILLED, KILLED_TWICE):
        router = daemon(lab, name)
        if name == STOPPED:
            router.stop()
        else:
            router.kill()
        router.start()
    reboot(lab, REBOOTED)
    daemon(lab, REBOOTED).start()
    twice = daemon(lab, KILLED_TWICE)
    assert eventually(
        lambda: "waiting for the Kubernetes API" in twice.log_path.read_text(),
        STEP_TIME,
    )
    twice.kill()
    twice.start()
    for name in set(NODES) - {UNTOUCHED}:
        router = daemon(lab, name)
        router.wait_ready()
        assert eventually(lambda n=name: datastore(lab, n)["saved_at"], STEP_TIME), name  # type: ignore[misc]
        assert eventually(
            lambda r=router: r.sessions().keys() == {*REFLECTORS.values()},  # type: ignore[misc]
            STEP_TIME,
        )


def lose_everything(lab: Lab) -> None:
    lab.stores["calico"].kill()
    for name in REFLECTORS:
        lab.routers[name].kill()
    for name in NODES:
        sessions = lab.routers[name].sessions
        assert eventually(
            lambda s=sessions: not any(each.is_established for each in s().values()),  # type: ignore[misc]
            STEP_TIME,
        ), name
    restart_daemons(lab)
    for name in set(NODES) - {REBOOTED}:
        assert has_kernel(lab, name, BLOCKS), (name, kernel_routes(lab, name))


def bring_everything_back(lab: Lab) -> None:
    """One reflector comes by its saved state, before the API; the other one after it."""
    first, second = REFLECTORS
    lab.start([first])
    for name in NODES:
        lab.routers[name].wait_established(REFLECTORS[first], timeout=STEP_TIME)
    assert datastore(lab, first)["saved_at"]
    assert not datastore(lab, UNTOUCHED)["is_connected"]
    lab.stores["calico"].start()
    lab.start([second])
    spec = {"node": UNTOUCHED, "cidr": NEW_BLOCK, "state": "confirmed"}
    lab.stores["calico"].apply([an_object("BlockAffinity", "new", spec)])
    all_settled(lab, {**BLOCKS, NEW_BLOCK: f"10.0.0.{NODES[UNTOUCHED]}"})
    for name in (*NODES, *REFLECTORS):
        assert eventually(
            lambda n=name: datastore(lab, n)["is_connected"],  # type: ignore[misc]
            OUTAGE_TIME,
        ), (name, datastore(lab, name))
        assert not datastore(lab, name)["saved_at"]


def test_no_ping_is_lost_with_the_api_and_all_reflectors() -> None:
    with a_cluster(a_topology("kubernetes")) as lab:
        lab.start()
        all_settled(lab, BLOCKS)
        all_reach_all(lab)
        all_saved(lab)
        with pinging(lab, "the API, its etcd and all reflectors die") as pings:
            lose_everything(lab)
            bring_everything_back(lab)
        addr = f"10.244.{NODES[REBOOTED]}.1"
        others = {pair for pair in pings.lost if addr not in pair}
        assert not others, {pair: pings.lost[pair] for pair in others}
        assert pings.lost, "a reboot costs some: they were counted"
        all_reach_all(lab)
        for name in (*NODES, *REFLECTORS):
            assert "Traceback" not in daemon(lab, name).log_path.read_text()
