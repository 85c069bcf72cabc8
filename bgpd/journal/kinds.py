"""Which lines of the log are events, and of which kind. Pure.

An event has the name of its line (docs/log-events.md). A line that is not here is none: it tells of
the process itself, or a file, and not of what it does for the network.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class EventKind(Enum):
    """What an event is about."""

    SESSION = "session"
    ROUTE = "route"
    POLICY = "policy"
    KERNEL = "kernel"
    DATASTORE = "datastore"
    CONFIGURATION = "configuration"


_EVENTS: Final[Mapping[EventKind, str]] = {
    EventKind.SESSION: """
        attempt-failed connection-failed connection-rejected drain-settled drain-held drain-incomplete
        drains-not-kept drains-restored malformed-update md5-key-changed md5-key-failed
        no-route-refresh peer-disabled peer-draining peer-undrained peers-draining
        peers-undrained prefix-limit prefixes-ignored reconnecting refresh-ignored refresh-overdue session-down session-up
        stale-routes-kept stale-routes-long-lived
        """,
    EventKind.ROUTE: """
        deferral-completed deferred-routes-advertised more-prefixes-paced next-hop-changed
        next-hop-missing not-originated orphan-paths prefix-paced resolution-loop
        start-completed
        """,
    EventKind.POLICY: "policy-changed policy-failed",
    EventKind.KERNEL: """
        former-routes-failed former-routes-kept former-routes-settled
        former-routes-suspected former-routes-unknown kernel-conflict kernel-overflow
        kernel-routes-unreadable redistribution-failed route-contested
        route-writing-failed routes-changed routes-repaired tunnel-failed tunnel-up
        """,
    EventKind.DATASTORE: """
        api-group-changed block-owners-unknown datastore-awaited datastore-connected
        datastore-disconnected kubernetes-unavailable manifest-warning
        more-manifest-warnings node-awaited node-check-failed nodes-hidden nodes-restored
        nodes-selected object-failed object-resolved object-unreadable object-warning
        removal-held removal-hold-ended saved-state-failed saved-state-in-force
        watch-failed watch-restored
        """,
    EventKind.CONFIGURATION: """
        address-missing command configuration-applied configuration-confirmed
        configuration-taken-back configuration-unconfirmed listen-failed listening
        peer-changed peer-not-changed peers-changed process-stalled reload-failed
        reload-incomplete reload-step reload-waits started
        """,
}

KIND_OF: Final[Mapping[str, EventKind]] = MappingProxyType(
    {name: kind for kind, names in _EVENTS.items() for name in names.split()}
)
"""The kind of each event that is a line of the log, by its name."""
