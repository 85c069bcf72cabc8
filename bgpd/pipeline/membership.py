"""The update group of each session of a family, and how to write to it.

A group exists as long as it has a member. Sessions with equal export contexts share one, so that
an UPDATE is encoded once for all of them (``reflector.group``).
"""

from collections.abc import Mapping
from typing import Final

from bgpd.pipeline.transmit_queue import Write
from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from reflector.export import Export, ExportContext
from reflector.group import UpdateGroup
from reflector.member_fsm import Member
from reflector.path_ids import PathIds
from rib.path import Source
from rib.policy import Policy

DEFAULT_INTERVAL: Final = 5.0
"""Seconds: what RFC 4271 10 suggests inside an AS, as BIRD and FRR have no interval at all."""


class Membership:
    """The update groups of one family, and the sessions in them.

    Attributes:
        groups: By what their members have in common.
        path_ids: Outgoing path identifiers (RFC 7911), shared by all groups.
        interval: Seconds that a prefix which keeps changing waits between two
            advertisements, in groups to come.
        is_deferring: Peers that keep our routes while we restart are sent our own only
            (RFC 4724 4.1): exports to come are made so.
    """

    def __init__(self) -> None:
        self.groups: dict[ExportContext, UpdateGroup] = {}
        self.path_ids = PathIds()
        self.interval = DEFAULT_INTERVAL
        self.is_deferring = False
        self._writers: dict[Source, Write] = {}
        self._group_of: dict[Source, UpdateGroup] = {}

    @property
    def writers(self) -> Mapping[Source, Write]:
        """The writer of each session."""
        return self._writers

    def export(self, context: ExportContext, policy: Policy) -> Export:
        """Return the export of a group."""
        # Only peers that keep our old routes can wait for those of others; a peer that lost them
        # needs whatever we know.
        own_only = self.is_deferring and context.keeps_ours
        return Export(context, policy, defers_peer_routes=own_only)

    def enter(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> Member:
        """Add a session to its group, and create the group if it does not exist.

        Returns:
            The member, whose first event is the caller's to feed.
        """
        # Equal contexts, hence equal octets: the settings that shape a route are all part of
        # the key, and nothing else about a session may influence what is encoded.
        group = self.groups.get(context)
        if group is None:
            group = self.groups[context] = UpdateGroup(
                self.export(context, policy),
                pack_announce,
                pack_withdraw,
                pack_blocks,
                self.path_ids,
            )
            group.pacer.interval = self.interval
        self._writers[source] = write
        self._group_of[source] = group
        return group.join(source)

    def leave(self, source: Source) -> None:
        """Forget a session."""
        group = self._group_of.pop(source, None)
        self._writers.pop(source, None)
        if group is not None:
            self.leave_group(group, source)

    def leave_group(self, group: UpdateGroup, source: Source) -> None:
        """Take a session out of a group, which goes with its last member."""
        group.leave(source)
        if not group.members:
            self.groups.pop(group.export.context, None)

    def member(self, source: Source) -> Member | None:
        """Return a session's membership, if it has one."""
        group = self._group_of.get(source)
        return None if group is None else group.members.get(source)

    def group_of(self, source: Source) -> UpdateGroup | None:
        """Return the group a session is in."""
        return self._group_of.get(source)

    def write(self, source: Source, message: bytes) -> bool:
        """Write one message to a session; return whether more may follow."""
        return self._writers[source]([message], 1)
