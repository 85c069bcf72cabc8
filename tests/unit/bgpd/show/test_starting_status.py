"""The status of a daemon that is starting has the keys of one that runs."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from bgpd.runtime.loop_lag import LagMeter
from bgpd.show.starting_status import starting_status
from tests.support.answer_forms import check_answer
from tests.support.world import ACluster, World


def test_a_start_has_the_keys_of_the_status() -> None:
    async def main() -> dict[str, Any]:
        lag = LagMeter(asyncio.get_running_loop())
        daemon: Any = SimpleNamespace(
            node="node-1",
            awaited="etcd: nothing listens there",
            cluster=ACluster(),
            commit=SimpleNamespace(row=lambda: None),
            warnings=list,
        )
        found: dict[str, Any] = json.loads(json.dumps(starting_status(daemon, lag)))
        lag.close()
        return found

    found = asyncio.run(main())
    check_answer("show-status", found)
    world = World()
    try:
        assert found.keys() == world.ask("show-status").keys()
    finally:
        world.close()
    assert (found["is_started"], found["node"]) == (False, "node-1")
    assert found["awaited"] == "etcd: nothing listens there"
    assert found["datastore"]["kind"] == "etcd"
