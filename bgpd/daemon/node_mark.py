"""Drains a node while its object in the datastore bears a label, and says no to what is implausible.

A label only drains: no session ends by it, so that one mistake cannot take a cluster off the network.
What more than half of the nodes bear is not followed by nodes that are not drained yet, as all
traffic would seek ways outside of the cluster at once.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from bgpd.speaker.drain_orders import DrainOrders, DrainOrigin

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import DrainMark
    from bgpd.speaker.draining import Draining

_log = logging.getLogger(__name__)


def follow_mark(
    mark: "DrainMark | None",
    drains: DrainOrders,
    draining: "Callable[[], Draining]",
    held: str,
) -> str:
    """Drain or undrain all peers by the node's label.

    Args:
        mark: The label, where the node bears it.
        drains: In force.
        draining: Returns what changes them.
        held: What was returned before.

    Returns:
        Why the label is not followed; empty where it is, or there is none.
    """
    is_drained = DrainOrigin.NODE in drains.whole
    if mark is None:
        if is_drained:
            draining().undrain_all(DrainOrigin.NODE)
        return ""
    if is_drained:
        return ""
    if mark.is_plausible:
        draining().drain_all(DrainOrigin.NODE)
        return ""
    text = (
        f"not drained: {mark.marked} of {mark.nodes} nodes bear the label {mark.label}, "
        "more than half; `pybgpctl drain --all` drains this one"
    )
    if text != held:
        _log.warning("%(reason)s", {"event": "drain-held", "reason": text})
    return text
