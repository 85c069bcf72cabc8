"""A way that is back is tried at once, whatever the timer says; also without the kernel's table."""

import time

import pytest

from tests.support.routers import a_lab, eventually, shown_peer

RETRY_TIME = (
    600  # seconds: a session that comes up again in time was not the timer's work
)
LAB = f"""
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router: {{kind: pybgpd, as: 65001, fib: false, hold_time: 3, connect_retry: {RETRY_TIME},
              graceful_restart: false, neighbours: [{{node: theirs}}]}}
  theirs:
    addresses: [10.0.0.2/24]
    router: {{kind: bird, as: 65001, fib: false, hold_time: 3, connect_retry: {RETRY_TIME},
              graceful_restart: false, neighbours: [{{node: ours, passive: true}}]}}
"""
AWAY = {
    "link": ("link set eth0 down", "link set eth0 up"),
    "address": ("address del 10.0.0.1/24 dev eth0", "address add 10.0.0.1/24 dev eth0"),
    "route": ("route del 10.0.0.0/24 dev eth0", "route add 10.0.0.0/24 dev eth0"),
}


@pytest.mark.parametrize("what", AWAY)
def test_a_way_that_is_back_is_tried_at_once(what):
    goes, comes = AWAY[what]
    with a_lab(LAB) as lab:
        ours = lab.routers["ours"]

        def row():
            return shown_peer(ours, "10.0.0.2")

        assert eventually(lambda: row()["established_transitions"] == 1)
        lab.namespace("ours").run(["ip", *goes.split()])
        waits = ("Active", "Connect")
        assert eventually(lambda: row()["flaps"] == 1 and row()["state"] in waits, 30)
        time.sleep(1)  # an attempt is under way by now, or has failed
        lab.namespace("ours").run(["ip", *comes.split()])
        assert eventually(lambda: row()["established_transitions"] == 2, 20)
