"""How long routes take is measured from a real router to another one and into the kernel."""

import http.client
import socket

from prometheus_client.parser import text_string_to_metric_families

from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.routers import a_lab, eventually, has_routes, needs

pytestmark = needs("bird")

LAB = """
nodes:
  theirs:
    addresses: [10.0.0.2/24]
    router: {kind: bird, as: 65001, fib: false, neighbours: [{node: ours}],
             originate: [10.2.0.0/24, 10.2.1.0/24, 10.2.2.0/24]}
  ours:
    addresses: [10.0.0.1/24]
    router: {kind: pybgpd, as: 65001, originate: [10.1.0.0/24],
             neighbours: [{node: theirs, client: true}, {node: other, client: true}]}
  other:
    addresses: [10.0.0.3/24]
    router: {kind: bird, as: 65001, fib: false, neighbours: [{node: ours}]}
"""
ROUTES = ("10.2.0.0/24", "10.2.1.0/24", "10.2.2.0/24")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def samples(router: PyBgpd) -> dict[tuple[str, str, str], float]:
    """Return the histograms of IPv4: (name, stage, bound) -> value."""
    connection = UnixConnection(str(router.control_path))
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {
        (s.name.rpartition("_")[2], s.labels["stage"], s.labels.get("le", "")): s.value
        for family in text_string_to_metric_families(text)
        if family.name == "pybgpd_propagation_seconds"
        for s in family.samples
        if s.labels["family"] == "ipv4-unicast"
    }


def test_each_route_of_a_peer_is_counted_once_at_each_stage() -> None:
    with a_lab(LAB) as lab:
        ours = lab.routers["ours"]
        assert isinstance(ours, PyBgpd)
        assert eventually(lambda: has_routes(lab.routers["other"], *ROUTES), 40)

        def counted() -> bool:
            found = samples(ours)
            return all(
                found.get(("count", stage, "")) == len(ROUTES)
                for stage in ("decided", "sent", "installed")
            )

        assert eventually(counted), samples(ours)
        found = samples(ours)
        for stage in ("decided", "sent", "installed"):
            assert found["bucket", stage, "+Inf"] == len(ROUTES)
            assert found["bucket", stage, "60.0"] == len(ROUTES)
            assert 0 <= found["sum", stage, ""] < 60 * len(ROUTES)
        # Nothing is sent before it is decided.
        assert found["sum", "decided", ""] <= found["sum", "sent", ""]

        with (ours.folder / "pybgpd.yaml").open("a") as file:
            file.write("metrics: {propagation: false}\n")
        ours.ask("reload")
        assert samples(ours) == {}
