"""A session that either side resets with a Cease (RFC 4486) comes up again by itself."""

import pytest

from tests.support.routers import MAKERS, a_lab, eventually, has_routes, shown_peer

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router: {{kind: pybgpd, as: 65001, fib: false, originate: [10.1.0.0/24],
              neighbours: [{{node: theirs}}]}}
  theirs:
    addresses: [10.0.0.2/24]
    router: {{kind: {kind}, as: 65001, fib: false, originate: [10.2.0.0/24],
              graceful_restart: false, neighbours: [{{node: ours}}]}}
"""


@pytest.mark.parametrize("kind", MAKERS)
def test_a_session_that_is_reset_comes_up_again(kind):
    with a_lab(LAB.format(kind=kind)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]

        def is_up(times):
            row = shown_peer(ours, "10.0.0.2")
            return row["established_transitions"] == times and has_routes(
                ours, "10.2.0.0/24"
            )

        assert eventually(lambda: is_up(1))
        ours.reset("10.0.0.2")
        assert eventually(lambda: is_up(2), 40)
        assert eventually(lambda: has_routes(theirs, "10.1.0.0/24"))
        assert "5/1" not in ours.log_path.read_text(), "nothing was an FSM error"
        if kind == "gobgp":
            return  # it rests for half a minute after a reset of its own
        theirs.reset("10.0.0.1")
        assert eventually(lambda: is_up(3), 40)
        assert eventually(lambda: has_routes(theirs, "10.1.0.0/24"))
