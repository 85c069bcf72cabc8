"""Re-exports unchanged routes whose export has changed.

A new export policy, or another place of a source in reflection, changes what peers must hold
without any change of Loc-RIB. The group remembers for each prefix by which export its members
know it (``UpdateGroup.replace_export``); a job goes through these prefixes in slices and sends
what differs. Whatever else concerns one of them meanwhile, a flush or the walk of one member, goes from
the remembered export to today's at once, so that all members that are not slow always know a
prefix by one export.

What waits is flushed before anything is replaced: it was changed under the export before.
"""

from collections.abc import Iterable, Iterator, Sequence

from bgpd.pipeline.flush_scheduler import FlushScheduler
from bgpd.pipeline.membership import Membership
from bgpd.runtime.work_queue import WorkQueue
from reflector import walks
from reflector.export import ExportContext
from reflector.group import UpdateGroup
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import members_of
from rib.policy import Policy, PrefixMatch
from rib.policy.prefixes import PrefixMatcher


class ReExport:
    """Sends routes of one family again if their export changes.

    Args:
        loc_rib: The routes.
        work_queue: For going through them in slices.
        membership: Whose exports they are.
        flushes: Writes.
    """

    def __init__(
        self,
        loc_rib: LocRib,
        work_queue: WorkQueue,
        membership: Membership,
        flushes: FlushScheduler,
    ) -> None:
        self._loc_rib = loc_rib
        self._work_queue = work_queue
        self._membership = membership
        self._flushes = flushes

    @property
    def is_under_way(self) -> bool:
        """Whether some group has not yet received everything that its export changes."""
        return any(
            group.pending_re_advertisement_count
            for group in self._membership.groups.values()
        )

    def replace_policy(
        self, name: str, policy: Policy, among: PrefixMatch | None = None
    ) -> None:
        """Make the groups with policy ``name`` use its new form.

        Args:
            name: The policy.
            policy: Its new form.
            among: The only prefixes that the two forms may judge differently; ``None``
                for all.
        """
        self._flushes.flush_now()
        # The name is what groups have in common, not the object: a policy that is edited leaves
        # the sessions in their groups.
        groups = [
            group
            for group in self._membership.groups.values()
            if group.export.context.policy == name
        ]
        if not groups:
            return
        concerned: Iterable[Nlri] = self._loc_rib.table
        if among is not None:
            afi = self._loc_rib.family.afi
            concerned, _ = PrefixMatcher(among, afi).divide(concerned)
        for group in groups:
            self._replace(group, policy, concerned)

    def change_context(self, former: ExportContext, context: ExportContext) -> bool:
        """Make all members of a group know routes by another context, encoded once.

        The two must differ only in what a route looks like; what it is packed in, and for
        whom, is the group's for good.

        Returns:
            Whether it is done: where a group has that context already, members must move
            one by one.
        """
        groups = self._membership.groups
        if former not in groups or context in groups:
            return False
        self._flushes.flush_now()
        group = groups[context] = groups.pop(former)
        self._replace(group, group.export.policy, self._loc_rib.table, context)
        return True

    def send_deferred(self) -> None:
        """Export all routes that were deferred while we restarted."""
        self._membership.is_deferring = False
        self._flushes.flush_now()
        for group in self._membership.groups.values():
            # Others got all routes at once: they keep nothing that an early update could disturb.
            if group.export.context.keeps_ours:
                self._replace(group, group.export.policy, self._loc_rib.table)

    def _replace(
        self,
        group: UpdateGroup,
        policy: Policy,
        concerned: Iterable[Nlri],
        context: ExportContext | None = None,
    ) -> None:
        # A second change while the first is sent adds its prefixes to the same job: each is sent
        # once, from what members know to the newest form, whatever lay between.
        is_under_way = group.pending_re_advertisement_count > 0
        export = self._membership.export(context or group.export.context, policy)
        group.replace_export(export, concerned)
        if not is_under_way:
            self._work_queue.add(self._send_again(group))

    def re_export_routes_of(self, source: Source) -> None:
        """Send the routes of a source again, slice by slice.

        To be called before its place in reflection changes (``Source.is_client`` and the
        like), since the export of its routes does so with it.
        """
        self._flushes.flush_now()
        # A prefix held back by pacing is known by an older entry; released, it has the one in
        # the table, and only that is visited below.
        self._flushes.pacing.release_all()
        if source not in self._loc_rib.path_counts:
            return
        # By entry and not by best path: with add-path the others are advertised too.
        nlris = [
            nlri
            for nlri, entry in self._loc_rib.table.items()
            if any(path.source is source for path in members_of(entry))
        ]
        self.mark_export_unknown(self._membership.groups.values(), nlris)

    def re_export_devices(self, nlris: Sequence[Nlri]) -> None:
        """Send prefixes again if their export depends on the outgoing interface."""
        groups = self._membership.groups.values()
        asking = [g for g in groups if g.export.policy.needs_interface]
        if asking and nlris:
            self._flushes.flush_now()
            self._flushes.pacing.release_all()
            self.mark_export_unknown(asking, nlris)

    def mark_export_unknown(
        self, groups: Iterable[UpdateGroup], nlris: Sequence[Nlri]
    ) -> None:
        """Send some prefixes again to some groups, whatever their members know of them.

        Args:
            groups: Of this family.
            nlris: Prefixes.
        """
        for group in groups:
            is_under_way = group.pending_re_advertisement_count > 0
            group.mark_export_unknown(nlris)
            if not is_under_way:
                self._work_queue.add(self._send_again(group))

    def _send_again(self, group: UpdateGroup) -> Iterator[None]:
        """Send members what a changed export of the same table changes; a job."""
        # Flushes in between shorten the list: a prefix that changes is sent by the newest export.
        while group.pending_re_advertisement_count and group.members:
            self._flushes.flush_now()
            self.update(group, group.next_to_re_advertise(walks.CATCH_UP_SLICE))
            yield

    def update(self, group: UpdateGroup, nlris: list[Nlri]) -> None:
        """Bring members up to date with today's export of some prefixes.

        Done for the whole group before one member is sent these for another reason. To be
        called after ``flush_now``.
        """
        if group.pending_re_advertisement_count:
            # The whole group and never one member: what differs per member is not remembered.
            outbound = group.re_advertise(self._loc_rib.table, nlris)
            self._flushes.write_now((outbound,), group.members.values())
