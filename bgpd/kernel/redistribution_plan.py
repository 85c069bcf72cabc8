"""What a daemon redistributes from the kernel: a value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bgpd.config.settings import DirectSettings, LearnSettings
from rib.family import Family


@dataclass(frozen=True, slots=True)
class RedistributionPlan:
    """Which routes to redistribute, and with which attributes.

    Attributes:
        routes: Which routes of other programs.
        direct: Which connected prefixes.
        is_calico: Routes look as BIRD makes them: ORIGIN IGP, no MED, the gateway as the
            next hop; else ORIGIN INCOMPLETE and the metric as MED.
        local_pref: LOCAL_PREF of connected prefixes; a family that is here gives other
            routes what their metric leaves of ``MAX_METRIC``.
        workload_interfaces: Patterns of devices. A route out of one whose LOCAL_PREF is
            above that of ``local_pref`` is *elevated*, as a workload's that has just
            moved here: it goes before what peers still tell of where it came from.
    """

    routes: LearnSettings = field(default_factory=LearnSettings)
    direct: DirectSettings = field(default_factory=DirectSettings)
    is_calico: bool = False
    local_pref: Mapping[Family, int] = field(default_factory=dict)
    workload_interfaces: tuple[str, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Whether any route is redistributed."""
        return self.routes.is_enabled or bool(self.direct.interfaces)
