"""Why a session is down, beside real routers: each reason ends with its cause."""

from typing import Any

import pytest

from tests.support.routers import a_lab, eventually, maker, needs

pytestmark = [needs("bird"), pytest.mark.timeout(120)]
LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      neighbours: [{{node: theirs}}]
      config:
        peers:
          - {{name: theirs, address: 10.0.0.2, as: 65009, connect_retry_time: 1,
             max_connect_retry_time: 2, idle_hold_time: 1, max_idle_hold_time: 1}}
  theirs:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65002, fib: false, connect_retry: 1, neighbours: [{{node: ours}}]}}
"""
LONG = 40.0  # seconds for anything to come true on a busy machine


def change(ours: Any, **options: object) -> None:
    """Change the peer in the file, and have it read."""
    ours.speaker.config["peers"][0].update(options)
    ours._reload()


@pytest.mark.parametrize("kind", [maker(kind) for kind in ("bird", "frr")])
def test_a_reason_ends_with_its_cause(kind: str) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        ours: Any = lab.routers["ours"]

        def peer() -> dict[str, Any]:
            [row] = ours.ask("show-peer", peer="theirs")
            return dict(row)

        def attempt() -> str:
            return str(peer()["last_attempt"] or "")

        assert eventually(lambda: "configured is AS 65009" in attempt(), LONG)
        assert peer()["last_reset"] is None
        sent = peer()["last_notification_sent"]
        assert (sent["code"], sent["subcode"]) in ((2, 2), (6, 5))

        # The AS is corrected, and a key set that only we have: the old reason must not stay.
        change(ours, **{"as": 65002, "password": "ours-alone"})
        assert eventually(lambda: "no answer to SYN for" in attempt(), LONG)

        del ours.speaker.config["peers"][0]["password"]
        change(ours)
        assert eventually(lambda: peer()["state"] == "Established", LONG)
        row = peer()
        assert row["last_attempt"] is None
        assert 179 in (row["local_port"], row["remote_port"])
        assert (row["local_address"], row["timers"]["hold"] > 0) == ("10.0.0.1", True)
        assert 0 <= row["seconds_since_received"] < LONG
        assert 0 <= row["seconds_since_sent"] < LONG
        assert 0 < row["round_trip_time"] < 1

        # What ended a session stays beside the attempts that follow.
        lab.routers["theirs"].kill()
        assert eventually(lambda: "connection refused" in attempt(), LONG)
        assert peer()["last_reset"].startswith("connection lost")
