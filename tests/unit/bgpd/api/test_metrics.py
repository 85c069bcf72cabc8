"""What Prometheus reads is what the snapshot says."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bgpd.api.figures import (
    DatastoreFigures,
    Figures,
    PeerFigures,
    PeerTableFigures,
    RangeFigures,
    TableFigures,
)
from bgpd.api.metrics import ROWS, SLICE, render
from bgpd.api.process_metrics import PROCESS_ROWS
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
        malformed_kept=12,
        malformed_dropped=13,
        warnings=2,
        lag_worst=0.25,
        lag_p99=0.125,
        fib=fib,
        datastore=datastore,
    )


def samples(shown: Figures) -> dict[tuple[str, ...], float]:
    text = b"".join(render(shown)).decode()
    return {
        (
            sample.name,
            *(text for _, text in sorted(sample.labels.items())),
        ): sample.value
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
    assert found["pybgpd_malformed_updates_kept",] == 12
    assert found["pybgpd_malformed_updates_dropped_total",] == 13
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
    peers = [a_peer(name=f"p{number}") for number in range(5000)]
    pieces = list(render(figures(peers)))
    lines = [piece.count(b"\n") for piece in pieces]
    assert max(lines) <= 2 * SLICE + 2 * len(ROWS)
    assert sum(lines) > 5000 * 10


def test_every_row_has_a_help_text_and_a_name_of_its_own() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert all(row.help.endswith(".") for row in ROWS)
    assert all(name.startswith("pybgpd_") for name in names)


def test_types_and_texts_are_those_of_the_table() -> None:
    text = b"".join(render(figures([a_peer()], fib=FibCounts()))).decode()
    families = {each.name: each for each in text_string_to_metric_families(text)}
    for row in ROWS:
        if (found := families.get(row.name)) is not None:
            assert (found.type, found.documentation) == (row.kind, row.help)


def test_metrics_of_the_process_are_those_of_the_table() -> None:
    text = b"".join(render(figures())).decode()
    found = {
        (sample.name, family.type, ", ".join(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith("pybgpd_")
    }
    by_name = {name: (kind, set(labels.split(", "))) for name, kind, labels in found}
    assert by_name == {
        name: (kind, set(labels.split(", "))) for name, kind, labels, _ in PROCESS_ROWS
    }


def test_what_is_known_of_a_peer_is_in_an_info_metric() -> None:
    peer = a_peer(remote_as=65001, peer_type="ebgp", group="edge", range_name="rack")
    found = samples(figures([peer]))
    labels = ("192.0.2.1", "edge", "node-1", "rack", "65001", "ebgp")
    assert found["pybgpd_peer_info", *labels] == 1


def test_a_limit_that_is_not_set_has_no_metric() -> None:
    table = PeerTableFigures("ipv4-unicast", 7, 5, 2)
    names = {name for name, *_ in samples(figures([a_peer(tables=(table,))]))}
    assert not names & {
        "pybgpd_peer_max_prefixes",
        "pybgpd_peer_max_received",
        "pybgpd_peer_max_advertised",
        "pybgpd_peer_prefixes_blocked",
        "pybgpd_peer_routes_advertised",
    }
    limited = table._replace(max_prefixes=10, blocked=3, max_received=20)
    found = samples(figures([a_peer(tables=(limited,))]))
    who = ("192.0.2.1", "ipv4-unicast", "node-1")
    assert found["pybgpd_peer_max_prefixes", *who] == 10
    assert found["pybgpd_peer_max_received", *who] == 20
    assert found["pybgpd_peer_prefixes_blocked", *who] == 3


def test_a_session_has_a_start_updates_and_notifications() -> None:
    peer = a_peer(
        is_enabled=False,
        established_at=1796072013.25,
        updates_received=4,
        updates_sent=5,
        notifications_received={"cease": 2},
        notifications_sent={"hold-timer-expired": 1, "other": 3},
        lacks_export_policy=True,
    )
    found = samples(figures([peer, a_peer(2)]))
    who = ("192.0.2.1", "node-1")
    assert found["pybgpd_peer_enabled", *who] == 0
    assert found["pybgpd_peer_enabled", "192.0.2.2", "node-2"] == 1
    assert found["pybgpd_peer_established_timestamp_seconds", *who] == 1796072013.25
    assert found["pybgpd_peer_updates_received_total", *who] == 4
    assert found["pybgpd_peer_updates_sent_total", *who] == 5
    received, sent = (
        f"pybgpd_peer_notifications_{way}_total" for way in ("received", "sent")
    )
    assert found[received, "192.0.2.1", "cease", "node-1"] == 2
    assert found[sent, "192.0.2.1", "hold-timer-expired", "node-1"] == 1
    assert found[sent, "192.0.2.1", "other", "node-1"] == 3
    missing = {key for key in found if key[0] == "pybgpd_peer_policy_missing"}
    assert missing == {
        ("pybgpd_peer_policy_missing", "192.0.2.1", "export", "node-1"),
    }


def test_ranges_have_their_use_and_their_limit() -> None:
    ranges = (RangeFigures("rack", "10.0.0.0/16", 7, 100),)
    found = samples(replace(figures(), ranges=ranges, omitted_peers=3))
    assert found["pybgpd_range_peers", "10.0.0.0/16", "rack"] == 7
    assert found["pybgpd_range_max_peers", "10.0.0.0/16", "rack"] == 100
    assert found["pybgpd_omitted_peers",] == 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(name=TEXTS, group=TEXTS, value=st.integers() | st.floats(allow_nan=False))
def test_any_text_and_number_is_read_back(name: str, group: str, value: float) -> None:
    peer = a_peer(name=name, group=group, established_at=value)
    found = samples(figures([peer]))
    when = "pybgpd_peer_established_timestamp_seconds"
    assert found[when, "192.0.2.1", name] == float(value)
    assert any(group in key for key in found if key[0] == "pybgpd_peer_info")
