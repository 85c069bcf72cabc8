"""Routing policy: terms of conditions and actions, compiled, and applied to batches.

Pure. ``spec`` is what a policy says, ``engine`` runs it, ``prefixes`` tests membership in
prefix lists, ``pattern`` searches AS paths, ``well_known`` holds the communities every
speaker must obey.
"""

from rib.attributes.communities import (
    BARRIER,
    GRACEFUL_SHUTDOWN,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_EXPORT_SUBCONFED,
)
from rib.policy.differences import concerned
from rib.policy.engine import Policy, TraceStep, Verdict, compile_policy
from rib.policy.spec import (
    ACCEPT_ALL,
    BUILT_IN_POLICIES,
    EBGP_DEFAULT_DENY,
    NO_ACTIONS,
    REJECT_ALL,
    Actions,
    Bounds,
    LargeCommunity,
    Match,
    NextHopRule,
    Operator,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    prefix_entry,
    prefix_match,
)
from rib.policy.well_known import (
    discarding,
    drained,
    export_allowed,
    is_long_lived_stale,
    least_preferred,
    long_lived,
    obey_graceful_shutdown,
)

__all__ = [
    "ACCEPT_ALL",
    "BARRIER",
    "BUILT_IN_POLICIES",
    "EBGP_DEFAULT_DENY",
    "GRACEFUL_SHUTDOWN",
    "NO_ACTIONS",
    "NO_ADVERTISE",
    "NO_EXPORT",
    "NO_EXPORT_SUBCONFED",
    "REJECT_ALL",
    "Actions",
    "Bounds",
    "LargeCommunity",
    "Match",
    "NextHopRule",
    "Operator",
    "Outcome",
    "Policy",
    "PolicySpec",
    "PrefixEntry",
    "PrefixMatch",
    "Term",
    "TraceStep",
    "Verdict",
    "compile_policy",
    "concerned",
    "discarding",
    "drained",
    "export_allowed",
    "is_long_lived_stale",
    "least_preferred",
    "long_lived",
    "obey_graceful_shutdown",
    "prefix_entry",
    "prefix_match",
]
