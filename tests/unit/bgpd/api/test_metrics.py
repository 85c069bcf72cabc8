"""What Prometheus reads is what the snapshot says."""

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bgpd.api.metrics import (
    ROWS,
    SLICE,
    DatastoreFigures,
    Figures,
    FiguresCollector,
    PeerFigures,
    PeerTableFigures,
    TableFigures,
    render,
    summary,
)
from fib.routes import FibCounts


def a_peer(number: int = 1, **changes: object) -> PeerFigures:
    peer = PeerFigures(
        name=f"node-{number}",
        address=f"192.0.2.{number}",
        state="established",
        is_established=True,
        flaps=3,
        malformed_updates=2,
        messages_received=10,
        messages_sent=20,
        tables=(PeerTableFigures("ipv4-unicast", 7, 5, 2),),
    )
    return peer._replace(**changes)  # type: ignore[arg-type]


def figures(
    peers: Iterable[PeerFigures] = (),
    fib: FibCounts | None = None,
    datastore: DatastoreFigures | None = None,
) -> Figures:
    return Figures(
        version="1.2.3",
        build="compiled",
        uptime=9.5,
        session_states={"idle": 1, "established": 4},
        peers=tuple(peers),
        tables=(TableFigures("ipv4-unicast", 100, 150, 6, 2, 8, 1),),
        rejected_connections=11,
        warnings=2,
        lag_worst=0.25,
        lag_p99=0.125,
        fib=fib,
        datastore=datastore,
    )


def samples(shown: Figures) -> dict[tuple[str, ...], float]:
    text = b"".join(render(shown)).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_sessions_are_counted_by_state() -> None:
    found = samples(figures())
    assert found["pybgpd_sessions", "idle"] == 1
    assert found["pybgpd_sessions", "established"] == 4


def test_each_peer_has_its_metrics() -> None:
    found = samples(figures([a_peer(), a_peer(2, is_established=False)]))
    who = ("192.0.2.1", "node-1")
    assert found["pybgpd_peer_up", *who] == 1
    assert found["pybgpd_peer_up", "192.0.2.2", "node-2"] == 0
    assert found["pybgpd_peer_flaps_total", *who] == 3
    assert found["pybgpd_peer_malformed_updates_total", *who] == 2
    assert found["pybgpd_peer_messages_received_total", *who] == 10
    assert found["pybgpd_peer_messages_sent_total", *who] == 20
    table = ("192.0.2.1", "ipv4-unicast", "node-1")
    assert found["pybgpd_peer_prefixes_received", *table] == 7
    assert found["pybgpd_peer_prefixes_accepted", *table] == 5
    assert found["pybgpd_peer_prefixes_filtered", *table] == 2


def test_tables_groups_and_the_loop_have_metrics() -> None:
    found = samples(figures())
    assert found["pybgpd_rib_prefixes", "ipv4-unicast"] == 100
    assert found["pybgpd_rib_paths", "ipv4-unicast"] == 150
    assert found["pybgpd_pending_prefixes", "ipv4-unicast"] == 6
    assert found["pybgpd_update_groups", "ipv4-unicast"] == 2
    assert found["pybgpd_update_group_members", "ipv4-unicast"] == 8
    assert found["pybgpd_update_group_slow_peers", "ipv4-unicast"] == 1
    assert found["pybgpd_loop_lag_worst_seconds",] == 0.25
    assert found["pybgpd_loop_lag_p99_seconds",] == 0.125
    assert found["pybgpd_rejected_connections_total",] == 11
    assert found["pybgpd_warnings",] == 2
    assert found["pybgpd_info", "compiled", "1.2.3"] == 1


def test_the_kernel_has_metrics_if_it_is_in_use() -> None:
    assert not any(name.startswith("pybgpd_fib") for name, *_ in samples(figures()))
    found = samples(figures(fib=FibCounts(wanted=9, failed=1, drifts=4)))
    assert found["pybgpd_fib_routes", "wanted"] == 9
    assert found["pybgpd_fib_routes", "failed"] == 1
    assert found["pybgpd_fib_drifts_total",] == 4
    assert found["pybgpd_fib_written_total",] == 0


def test_the_datastore_has_metrics_if_it_is_in_use() -> None:
    store = DatastoreFigures("etcd", True, 1000, 7, 2)
    found = samples(figures(datastore=store))
    assert found["pybgpd_datastore_connected",] == 1
    assert found["pybgpd_datastore_revision",] == 1000
    assert found["pybgpd_datastore_lag_revisions",] == 7
    assert found["pybgpd_datastore_snapshots_total",] == 2


def test_names_with_quotes_and_line_ends_survive() -> None:
    found = samples(figures([a_peer(name='a "b"\n\\c')]))
    assert found["pybgpd_peer_up", "192.0.2.1", 'a "b"\n\\c'] == 1


@pytest.mark.parametrize("count", [SLICE - 1, SLICE, SLICE + 1, 1000])
def test_a_metric_in_parts_is_one_metric(count: int) -> None:
    peers = [a_peer(name=f"p{number}") for number in range(count)]
    text = b"".join(render(figures(peers))).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    by_name = {family.name: family for family in families}
    assert len(by_name["pybgpd_peer_up"].samples) == count
    assert len(by_name["pybgpd_peer_flaps"].samples) == count
    assert text.count("# TYPE pybgpd_peer_up ") == 1


def test_no_piece_is_long() -> None:
    peers = [a_peer(name=f"p{number}") for number in range(1000)]
    pieces = list(render(figures(peers)))
    assert max(piece.count(b"\n") for piece in pieces) <= SLICE + 2
    assert len(pieces) > 1000 // SLICE * 5


def test_every_row_has_a_help_text_and_a_name_of_its_own() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert all(row.help.endswith(".") for row in ROWS)
    assert all(name.startswith("pybgpd_") for name in names)


def test_the_collector_serves_any_registry() -> None:

    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures([a_peer()])))
    assert b"".join(render(figures([a_peer()]))) == generate_latest(registry)


def test_the_summary_leaves_single_peers_out() -> None:
    shown = summary(figures([a_peer()], fib=FibCounts(wanted=9)))
    assert shown["peers"] == 1
    assert shown["version"] == "1.2.3"
    assert shown["fib"]["wanted"] == 9  # type: ignore[index]
    assert shown["datastore"] is None
    assert shown["tables"][0]["prefixes"] == 100  # type: ignore[index]
