"""Where a watch stands: responses to changes, and the revision to resume from. Sans-IO.

One stream carries one watcher per key prefix. The rules that keep events from being lost:

* a watcher resumes after the last *event* it gave or after a progress notification, never
  from the revision of a ``created`` response: events before it may still be on their way;
* a fragment's revision counts only when its last piece is there;
* ``canceled`` ends that watcher: with a compaction only a snapshot helps.
"""

from collections.abc import Sequence

from bgpd.calico.events import Changes
from bgpd.datastore.etcd.client import CompactedError, EtcdError, prefix_end
from bgpd.datastore.etcd.rpc_pb2 import (
    Event,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)


class WatchCursor:
    """The position of all watchers, across connections.

    Args:
        prefixes: Key prefixes, one watcher each.
        revision: Of the snapshot that went before.
        cluster_id: The cluster it came from; another one shares no history.
    """

    def __init__(self, prefixes: Sequence[str], revision: int, cluster_id: int) -> None:
        self.cluster_id = cluster_id
        self.revision = revision
        self._prefixes = [prefix.encode() for prefix in prefixes]
        self._next = [revision + 1] * len(prefixes)
        self._indexes: dict[int, int] = {}
        self._fragments: dict[int, list[Event]] = {}

    @property
    def is_watching(self) -> bool:
        """Whether the server has confirmed every watcher of this stream."""
        return len(self._indexes) == len(self._prefixes)

    @property
    def next_revisions(self) -> tuple[int, ...]:
        """Where each watcher would resume."""
        return tuple(self._next)

    def start(self) -> list[WatchRequest]:
        """Return the requests that begin a new stream."""
        self._indexes.clear()
        self._fragments.clear()
        return [
            WatchRequest(
                create_request=WatchCreateRequest(
                    key=prefix,
                    range_end=prefix_end(prefix),
                    start_revision=revision,
                    progress_notify=True,
                    fragment=True,
                )
            )
            for prefix, revision in zip(self._prefixes, self._next, strict=True)
        ]

    def take(self, response: WatchResponse) -> Changes | None:
        """Take one response of the stream; return what it changes, if anything.

        Raises:
            CompactedError: The history to resume from is gone.
            EtcdError: The server ended a watcher, or names one that is not ours.
        """
        if response.canceled:
            if response.compact_revision:
                raise CompactedError(f"compacted at {response.compact_revision}")
            raise EtcdError(f"watch canceled: {response.cancel_reason or 'no reason'}")
        if response.created:
            # Confirmed in the order of the requests; servers before 3.4 choose the ids.
            self._indexes[response.watch_id] = len(self._indexes)
            return None
        index = self._indexes.get(response.watch_id)
        if index is None:
            raise EtcdError(f"response for unknown watcher {response.watch_id}")
        if not response.events:
            self._next[index] = max(self._next[index], response.header.revision + 1)
            return None
        events = self._fragments.pop(response.watch_id, [])
        events.extend(response.events)
        if response.fragment:
            self._fragments[response.watch_id] = events
            return None
        newest = events[-1].kv.mod_revision
        self._next[index] = max(self._next[index], newest + 1)
        self.revision = max(self.revision, newest)
        return _changes(self.revision, events)


def _changes(revision: int, events: Sequence[Event]) -> Changes:
    """Fold events into the newest state of each key."""
    newest = {event.kv.key: event for event in events}
    puts, deletes = {}, []
    for key, event in newest.items():
        name = key.decode("utf-8", "replace")
        if event.type == Event.DELETE:
            deletes.append(name)
        else:
            puts[name] = event.kv.value
    return Changes(revision, puts, frozenset(deletes))
