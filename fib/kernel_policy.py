"""Which routes go to the kernel, through which device and with which metric. Pure.

A kernel policy is a routing policy like those of peers (``rib.policy``), asked about the
paths that forward. Its terms accept, reject, or send through a tunnel device; the metric
follows from LOCAL_PREF where Calico's priorities are in force.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rib.family import Family
from rib.nlri import Nlri
from rib.path import Path, SourceKind
from rib.policy import ACCEPT_ALL, PolicySpec, compile_policy

MAX_METRIC: Final = 2147483647
"""A kernel metric and a LOCAL_PREF that stand for each other have this sum."""

ELEVATED_WEIGHT: Final = 100
"""What an elevated route exceeds those of peers by: BIRD's preference 200 to 100."""

_FROM_PEERS: Final = frozenset({SourceKind.EBGP, SourceKind.IBGP})


@dataclass(frozen=True, slots=True)
class KernelPolicy:
    """Which of one family's routes go to the kernel.

    Attributes:
        policy: Asked about every path that forwards; ``Actions.device`` names a tunnel.
        normal_metric: Metric of routes from peers that have no LOCAL_PREF, where the
            metric of the others is ``MAX_METRIC`` less their LOCAL_PREF; ``None`` leaves
            every route the metric of the configuration.
    """

    policy: PolicySpec = ACCEPT_ALL
    normal_metric: int | None = None


class KernelDecision(NamedTuple):
    """What happens to a path in the kernel.

    Attributes:
        is_accepted: It is written.
        metric: ``None`` for the configuration's.
        device: Through this device, on-link; empty for the way to the next hop.
        reason: The deciding term.
    """

    is_accepted: bool
    metric: int | None
    device: str
    reason: str


class KernelRules:
    """A kernel policy made executable.

    Args:
        spec: What it says.
        family: Of the routes.
    """

    def __init__(self, spec: KernelPolicy, family: Family) -> None:
        self.spec = spec
        self._family = family
        self._policy = compile_policy(spec.policy)
        self.accepts_all = spec.policy is ACCEPT_ALL and spec.normal_metric is None

    @property
    def needs_prefix(self) -> bool:
        """Whether prefixes of one path may fare differently."""
        return self._policy.needs_prefix

    @property
    def needs_interface(self) -> bool:
        """Whether the device of the way to the next hop may decide."""
        return self._policy.needs_interface

    def age(self) -> None:
        """Drop results not used since the last time."""
        self._policy.age()

    # hot: per batch
    def divide(
        self, nlris: Sequence[Nlri], path: Path
    ) -> list[tuple[Sequence[Nlri], KernelDecision]]:
        """Group prefixes that lead along one path by their outcome."""
        groups = self._policy.apply_batch(
            nlris,
            path.attributes,
            path.source,
            self._family,
            interface=path.next_hop.interface,
        )
        metric = self._metric(path)
        return [
            (
                members,
                KernelDecision(
                    verdict.is_accepted, metric, verdict.device, verdict.reason
                ),
            )
            for members, verdict in groups
        ]

    def _metric(self, path: Path) -> int | None:
        normal = self.spec.normal_metric
        if normal is None or path.source.kind not in _FROM_PEERS:
            return None
        local_pref = path.attributes.local_pref
        return normal if local_pref is None else max(0, MAX_METRIC - local_pref)
