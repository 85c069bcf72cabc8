"""Changing the MD5 key of a real router's neighbours while it runs."""

import os
import signal
from dataclasses import replace

from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import Router
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.gobgp import GoBgp
from bgpd.lab.routers.openbgpd import OpenBgpd
from bgpd.lab.routers.pybgpd import PyBgpd


def change_key(router: Router, key: str) -> None:
    """Give all neighbours that have a key another one, as its operator would."""
    neighbours = [
        replace(n, password=key) if n.password else n for n in router.speaker.neighbours
    ]
    router.speaker = replace(router.speaker, neighbours=tuple(neighbours))
    if isinstance(router, PyBgpd):
        for each in router.speaker.config.get("ranges", ()):
            each["password"] = key
        router._reload()
    elif isinstance(router, Bird):
        router._reconfigure()
    elif isinstance(router, Frr):
        lines = [f"neighbor {n.addr} password {key}" for n in neighbours if n.password]
        router._vtysh("configure terminal", f"router bgp {_as_of(router)}", *lines)
    elif isinstance(router, OpenBgpd):
        router.write_config()
        router._bgpctl("reload")
    elif isinstance(router, GoBgp):
        router.write_config()
        for child in router._children:
            os.kill(child.pid, signal.SIGHUP)
    else:
        raise LabError(f"{router.kind} has no keys")


def _as_of(router: Router) -> int:
    return router.speaker.local_as
