"""A member of a range that goes leaves a trace, beside real routers."""

from typing import Any

import pytest

from tests.support.routers import a_lab, eventually, maker, shown_peers

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      config:
        ranges:
          - {{name: clients, prefix: 10.0.0.0/24, as: 65001, client: true,
             graceful_restart_time: 0}}
  theirs:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65001, fib: false, connect_retry: 1,
        neighbours: [{{node: ours}}]}}
"""
LONG = 40.0  # seconds for anything to come true on a busy machine


@pytest.mark.parametrize("kind", [maker("bird"), maker("frr")])
def test_a_client_that_goes_is_listed_with_the_reason(kind: str) -> None:
    with a_lab(LAB.format(kind=kind)) as lab:
        ours: Any = lab.routers["ours"]

        def is_up() -> bool:
            return any(row["state"] == "Established" for row in shown_peers(ours))

        def gone() -> list[dict[str, Any]]:
            return list(ours.ask("show-gone-peers", range="clients"))

        assert eventually(is_up, LONG)
        assert gone() == []
        lab.routers["theirs"].kill()
        assert eventually(gone, LONG)
        (row,) = gone()
        assert (row["address"], row["range"]) == ("10.0.0.2", "clients")
        assert row["established_transitions"] >= 1
        assert row["reason"].startswith("connection lost")
        assert shown_peers(ours) == []
        lab.routers["theirs"].start()
        assert eventually(is_up, LONG)
        assert gone() == []
