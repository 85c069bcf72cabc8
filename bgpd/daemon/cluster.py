"""Follows the cluster's datastore and says what this node must be.

Level-triggered: whatever an event was, what is delivered is the whole of what is wanted
now. Parts that an event did not touch are the same objects as before, which is what makes
the frequent case, a changed block affinity, cheap to compare.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from bgpd.calico.blocks import Block
from bgpd.calico.compat import Compat
from bgpd.calico.desired import NodeDesired
from bgpd.calico.keys import prefixes
from bgpd.calico.planner import PlanOptions, SideInputs
from bgpd.calico.state import ClusterState
from bgpd.calico.warnings import ObjectWarning
from bgpd.config.settings import CalicoSettings, DatastoreKind, DatastoreSettings
from bgpd.daemon.side_inputs import SideFollower
from bgpd.datastore import Datastore, FolderDatastore
from bgpd.datastore.guarded import GuardedDatastore
from bgpd.session.settings import AddPathMode, PeerSettings

_log = logging.getLogger(__name__)

Deliver = Callable[[NodeDesired], None]

_REMOVAL_HOLD: Final = DatastoreSettings().removal_hold


class ClusterFollower:
    """Reads a datastore for one node.

    Args:
        datastore: Where cluster state comes from; what it removes against all
            plausibility is held.
        node: This node's name.
        template: What peers from the datastore are like.
        deliver: Takes what the node must be.
        calico: How the node behaves where the cluster's objects do not say.
        sides: What does not come from the datastore; ``None`` for nothing.
        holds_cluster_routes: Keep ``cluster_routes`` up to date.
        removal_hold: Seconds for which implausible removals are held; 0 holds none.
    """

    def __init__(
        self,
        datastore: Datastore,
        node: str,
        template: PeerSettings,
        deliver: Deliver,
        *,
        calico: CalicoSettings,
        sides: SideFollower | None = None,
        holds_cluster_routes: bool = False,
        removal_hold: int = _REMOVAL_HOLD,
    ) -> None:
        self.datastore = GuardedDatastore(datastore, node, removal_hold)
        self.cluster_routes: Mapping[str, frozenset[Block]] = {}
        self._node = node
        self._state = ClusterState(_with_add_path(template, calico), _options(calico))
        self._side = SideInputs()
        self._sides = sides
        if sides is not None:
            sides.on_change = self._side_changed
        self._deliver = deliver
        self._holds_cluster_routes = holds_cluster_routes
        self._has_delivered = False
        self._own_warnings: frozenset[ObjectWarning] = frozenset()
        self._told: frozenset[ObjectWarning] = frozenset()

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return what is wrong with objects of the cluster now, as this node sees it."""
        found = {*self._state.warnings(), *self._own_warnings}
        if self._sides is not None:
            found.update(self._sides.warnings())
        return tuple(sorted(found))

    async def follow(self) -> None:
        """Read for ever; an unreachable datastore changes nothing."""
        async with aclosing(self.datastore.events()) as events:
            async for event in events:
                touched = self._state.apply(event)
                is_ours = touched.is_topology or self._node in touched.nodes
                if self._sides is not None and touched.is_topology:
                    self._sides.need(self._state.needs(self._node))
                    if not self._has_delivered:
                        await self._sides.ready()
                if is_ours or not self._has_delivered:
                    self._has_delivered = True
                    self._plan()
                if self._holds_cluster_routes and touched.nodes:
                    self.cluster_routes = self._state.others(self._node)
                self._log_warnings()

    def _side_changed(self) -> None:
        if self._has_delivered and self._side_inputs() != self._side:
            self._plan()
            self._log_warnings()

    def _side_inputs(self) -> SideInputs:
        return SideInputs() if self._sides is None else self._sides.inputs()

    def _plan(self) -> None:
        self._side = self._side_inputs()
        desired = self._state.desired(self._node, self._side)
        # What follows from objects together, beside what each has wrong.
        self._own_warnings = frozenset(desired.warnings) - {*self._state.warnings()}
        self._deliver(desired)

    def _log_warnings(self) -> None:
        now = frozenset(self.warnings())
        for warning in sorted(now - self._told):
            _log.warning("datastore: %s", warning)
        for warning in sorted(self._told - now):
            _log.info("datastore: mended: %s", warning)
        self._told = now


def _options(calico: CalicoSettings) -> PlanOptions:
    compat = None if calico.compatibility == "auto" else Compat(calico.compatibility)
    return PlanOptions(
        compat,
        uses_pod_cidrs=calico.uses_pod_cidrs,
        cluster_ips=calico.cluster_ips,
    )


def _with_add_path(template: PeerSettings, calico: CalicoSettings) -> PeerSettings:
    """Return a template that offers all paths, unless it says something of its own."""
    families = template.families
    if not calico.has_add_path or any(
        each.add_path is not AddPathMode.OFF for each in families
    ):
        return template
    return replace(
        template,
        families=tuple(replace(each, add_path=AddPathMode.BOTH) for each in families),
    )


def make_datastore(
    settings: DatastoreSettings, node: str, *, all_blocks: bool
) -> Datastore:
    """Return the datastore that settings name.

    Args:
        settings: Which, and how to reach it.
        node: Whose block affinities are read.
        all_blocks: Read those of every node.

    Raises:
        DatastoreError: The settings cannot work.
    """
    if settings.kind is DatastoreKind.FOLDER:
        return FolderDatastore(settings.path)
    from bgpd.datastore.etcd import (  # noqa: PLC0415  # gRPC costs 0.2 s to import
        EtcdDatastore,
        EtcdSettings,
    )

    return EtcdDatastore(
        EtcdSettings(
            endpoints=settings.endpoints,
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            user=settings.username,
            password=settings.password,
        ),
        prefixes("" if all_blocks else node),
    )
