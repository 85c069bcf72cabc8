"""Drivers for routers: one class per maker behind one small interface."""

from types import MappingProxyType
from typing import Final

from bgpd.lab.routers.base import Router
from bgpd.lab.routers.bird import Bird, Bird3
from bgpd.lab.routers.calico_bird import CalicoBird
from bgpd.lab.routers.exabgp import ExaBgp
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.gobgp import GoBgp
from bgpd.lab.routers.openbgpd import OpenBgpd
from bgpd.lab.routers.pybgpd import PyBgpd

DRIVERS: Final = MappingProxyType[str, type[Router]](
    {
        driver.kind: driver
        for driver in (PyBgpd, Bird, Bird3, CalicoBird, Frr, GoBgp, OpenBgpd, ExaBgp)
    }
)

__all__ = ["DRIVERS", "Router"]
