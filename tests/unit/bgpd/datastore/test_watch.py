import pytest

from bgpd.calico.events import Changes
from bgpd.datastore.etcd.client import (
    CompactedError,
    EtcdError,
    EtcdSettings,
    prefix_end,
    split_endpoint,
)
from bgpd.datastore.etcd.rpc_pb2 import Event, KeyValue, ResponseHeader, WatchResponse
from bgpd.datastore.etcd.source import MAX_DELAY, EtcdDatastore, _delay
from bgpd.datastore.etcd.watch import WatchCursor
from bgpd.datastore.model import DatastoreError


def created(watch_id: int, revision: int = 1) -> WatchResponse:
    return WatchResponse(
        header=ResponseHeader(revision=revision), watch_id=watch_id, created=True
    )


def events(
    watch_id: int,
    revision: int,
    *keys: tuple[str, int, bytes | None],
    fragment: bool = False,
) -> WatchResponse:
    return WatchResponse(
        header=ResponseHeader(revision=revision),
        watch_id=watch_id,
        events=[
            Event(
                type=Event.DELETE if value is None else Event.PUT,
                kv=KeyValue(key=key.encode(), value=value, mod_revision=at),
            )
            for key, at, value in keys
        ],
        fragment=fragment,
    )


@pytest.fixture
def cursor() -> WatchCursor:
    two = WatchCursor(["/a/", "/b/"], 10, 1)
    two.start()
    two.take(created(0))
    two.take(created(1))
    return two


def test_every_watcher_starts_after_the_snapshot() -> None:
    cursor = WatchCursor(["/a/", "/b/"], 10, 1)
    creates = [request.create_request for request in cursor.start()]
    assert [(c.key, c.range_end) for c in creates] == [
        (b"/a/", b"/a0"),
        (b"/b/", b"/b0"),
    ]
    assert all(c.start_revision == 11 for c in creates)
    assert all(c.fragment and c.progress_notify for c in creates)
    assert not cursor.is_watching


def test_a_created_response_is_nothing_to_resume_from() -> None:
    cursor = WatchCursor(["/a/"], 10, 1)
    cursor.start()
    assert cursor.take(created(0, revision=500)) is None
    assert cursor.is_watching
    assert cursor.next_revisions == (11,)


def test_events_move_their_own_watcher(cursor: WatchCursor) -> None:
    changes = cursor.take(events(1, 99, ("/b/x", 12, b"1"), ("/b/y", 13, None)))
    assert changes is not None
    assert changes == Changes(13, {"/b/x": b"1"}, frozenset({"/b/y"}))
    assert cursor.next_revisions == (11, 14)
    assert cursor.revision == 13


def test_a_progress_notification_moves_the_watcher(cursor: WatchCursor) -> None:
    assert cursor.take(events(0, 40)) is None
    assert cursor.next_revisions == (41, 11)
    assert cursor.revision == 10


def test_fragments_count_when_the_last_is_there(cursor: WatchCursor) -> None:
    assert cursor.take(events(0, 20, ("/a/x", 12, b"1"), fragment=True)) is None
    assert cursor.next_revisions == (11, 11)
    changes = cursor.take(events(0, 20, ("/a/y", 12, b"2")))
    assert changes is not None
    assert changes.puts == {"/a/x": b"1", "/a/y": b"2"}
    assert cursor.next_revisions == (13, 11)


def test_half_a_fragment_is_forgotten_with_its_stream(cursor: WatchCursor) -> None:
    cursor.take(events(0, 20, ("/a/x", 12, b"1"), fragment=True))
    assert cursor.start()[0].create_request.start_revision == 11
    cursor.take(created(0))
    cursor.take(created(1))
    changes = cursor.take(events(0, 20, ("/a/x", 12, b"1")))
    assert changes is not None
    assert changes.puts == {"/a/x": b"1"}


def test_the_newest_event_of_a_key_counts(cursor: WatchCursor) -> None:
    changes = cursor.take(
        events(
            0,
            20,
            *[("/a/x", 12, b"1"), ("/a/y", 13, b"1")],
            *[("/a/x", 14, None), ("/a/y", 15, None), ("/a/y", 16, b"2")],
        )
    )
    assert changes is not None
    assert changes.puts == {"/a/y": b"2"}
    assert changes.deletes == {"/a/x"}


def test_the_applied_revision_never_goes_back(cursor: WatchCursor) -> None:
    cursor.take(events(0, 20, ("/a/x", 20, b"1")))
    changes = cursor.take(events(1, 20, ("/b/x", 15, b"1")))
    assert changes is not None
    assert changes.revision == 20
    assert cursor.next_revisions == (21, 16)


def test_ends_of_a_watch(cursor: WatchCursor) -> None:
    with pytest.raises(CompactedError):
        cursor.take(WatchResponse(watch_id=0, canceled=True, compact_revision=50))
    with pytest.raises(EtcdError, match="permission denied"):
        cursor.take(
            WatchResponse(
                watch_id=-1,
                created=True,
                canceled=True,
                cancel_reason="etcdserver: permission denied",
            )
        )
    with pytest.raises(EtcdError, match="unknown watcher 7"):
        cursor.take(events(7, 20))


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://etcd-0.local:2379", ("etcd-0.local", 2379, False)),
        ("https://10.0.0.1:4001/", ("10.0.0.1", 4001, True)),
        ("https://[fd00::1]:2379", ("fd00::1", 2379, True)),
        ("http://[::1]", ("::1", 2379, False)),
        ("etcd", ("etcd", 2379, False)),
    ],
)
def test_endpoints(endpoint: str, expected: tuple[str, int, bool]) -> None:
    assert split_endpoint(endpoint) == expected
    assert split_endpoint("etcd:1", is_tls=True) == ("etcd", 1, True)


@pytest.mark.parametrize(
    "endpoint", ["", "ftp://etcd:1", "http://:2379", "etcd:x", "etcd:70000"]
)
def test_bad_endpoints(endpoint: str) -> None:
    with pytest.raises(DatastoreError, match="etcd endpoint"):
        split_endpoint(endpoint)


def test_no_endpoint_is_an_error() -> None:
    with pytest.raises(DatastoreError, match="no endpoint"):
        EtcdDatastore(EtcdSettings(()))


def test_delays_begin_after_a_whole_round_and_are_bounded() -> None:
    assert _delay(0) == 0
    assert 0 < _delay(1) <= 0.1
    assert all(_delay(rounds) <= MAX_DELAY for rounds in (10, 100, 100_000))


def test_the_end_of_a_prefix() -> None:
    assert prefix_end(b"/a/") == b"/a0"


def test_a_password_is_not_shown() -> None:
    settings = EtcdSettings(("etcd",), user="u", password="hidden")
    assert "hidden" not in repr(settings)
