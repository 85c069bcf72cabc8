"""What the daemon would have to be: the subject of a preview."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelPolicy
from rib.family import Family
from rib.policy import PolicySpec

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that sessions and routes would follow.

    Attributes:
        settings: Of the file, with our AS in all peers and ranges.
        identity: Who we would be.
        own_addresses: Addresses known to be ours, 4 or 16 octets each.
        peers: Configured peers and those of the datastore, by address.
        policies: All that peers may name.
        kernel: The kernel policies; ``None`` where they stay what they are.
        desired: What the datastore wants of the node; ``None`` without one.
    """

    settings: DaemonSettings
    identity: SpeakerSettings
    own_addresses: frozenset[bytes]
    peers: Mapping[str, PeerSettings]
    policies: tuple[PolicySpec, ...]
    kernel: Mapping[Family, KernelPolicy] | None = None
    desired: "NodeDesired | None" = None
