"""The kernel's next-hop objects that we hold: one per target, groups for ECMP.

Routes refer to an object by its number, so changing one object moves all its routes at
once: 100,000 in about 60 ms. An object belongs to exactly one ``Entry``, because a change
must move that target's routes and no others; the members of groups are shared.

Objects of a former process carry our protocol number too. They are known from the first
dump, taken over by entries that need the same, and removed with ``remove_unused``.
"""

import errno
from collections.abc import Iterable
from typing import Final

from fib.errors import FibError
from fib.netlink.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_NEWNEXTHOP,
    RawHop,
    canonical_hops,
    encode_group,
    encode_next_hop,
    encode_next_hop_query,
    encode_next_hop_removal,
    family_of,
    next_hop_dump,
    parse_next_hop,
)
from fib.netlink.sockets import RequestSocket, dump_small
from fib.plan import Entry
from fib.routes import Fault

FIRST_ID: Final = 0x62670000  # "bg": far from the small numbers that people choose
_ID_COUNT: Final = 1 << 20

# An object is (family, hop, ()) or (0, None, ((member id, weight), ...)).
Content = tuple[int, RawHop | None, tuple[tuple[int, int], ...]]


class NextHopObjects:
    """The kernel objects that we hold, and which of our entries use them.

    Args:
        sock: Where to ask.
        protocol: Our protocol number; objects of others are left alone.
    """

    def __init__(self, sock: RequestSocket, protocol: int) -> None:
        self._sock = sock
        self._protocol = protocol
        self._held: dict[int, Content] = {}
        self._by_content: dict[Content, set[int]] = {}
        self._owners: dict[int, Entry] = {}
        self._users: dict[int, set[int]] = {}
        self._next_id = FIRST_ID

    def __len__(self) -> int:
        return len(self._held)

    def load(self) -> bool:
        """Read our objects from the kernel; return whether it supports such objects at all."""
        try:
            answers = dump_small(next_hop_dump())
        except FibError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return False
        held: dict[int, Content] = {}
        for data, item in answers:
            if item.type == RTM_NEWNEXTHOP:
                found = parse_next_hop(data, item.start, item.end)
                if found.protocol == self._protocol:
                    family = 0 if found.group else found.family
                    held[found.id] = (family, found.hop, found.group)
        self._held, self._by_content = {}, {}
        for object_id, content in held.items():
            self._note(object_id, content)
        return True

    @staticmethod
    def numbers_alike() -> set[int]:
        """Return the protocol numbers of all objects whose own numbers we would give."""
        ours = range(FIRST_ID, FIRST_ID + _ID_COUNT)
        try:
            answers = dump_small(next_hop_dump())
        except FibError:
            return set()  # a kernel that knows no such objects
        found = (
            parse_next_hop(data, item.start, item.end)
            for data, item in answers
            if item.type == RTM_NEWNEXTHOP
        )
        return {each.protocol for each in found if each.id in ours}

    def outside(self) -> set[int]:
        """Return those held whose numbers are none that we would give."""
        ours = range(FIRST_ID, FIRST_ID + _ID_COUNT)
        return {object_id for object_id in self._held if object_id not in ours}

    def is_held(self, object_id: int) -> bool:
        """Return whether the kernel had our object at the last dump."""
        return object_id in self._held

    def forget(self, object_id: int) -> None:
        """Note that the kernel lost an object."""
        content = self._held.pop(object_id, None)
        if content is not None:
            same = self._by_content[content]
            same.discard(object_id)
            if not same:
                del self._by_content[content]

    def owner(self, object_id: int) -> Entry | None:
        """Return who holds an object."""
        return self._owners.get(object_id)

    def note_user(self, object_id: int, afi: int) -> None:
        """Note that a route of a family was found to refer to an object."""
        self._users.setdefault(object_id, set()).add(afi)

    def serves_only(self, object_id: int, afi: int) -> bool:
        """Say whether no other family's routes were found to refer to an object.

        A former process may have had equal objects for both, and either takes either.
        """
        return self._users.get(object_id, {afi}) <= {afi}

    def hops(self, object_id: int) -> tuple[RawHop, ...] | None:
        """Return where an object leads, in canonical order; ``None`` if not known."""
        content = self._held.get(object_id)
        if content is None:
            return None
        _, hop, group = content
        if hop is not None:
            return (hop,)
        found = []
        for member, weight in group:
            single = self._held.get(member, (0, None, ()))[1]
            if single is not None:
                found.append((*single[:3], weight))
        return canonical_hops(found)

    def exists(self, object_id: int) -> bool:
        """Ask the kernel whether an object is still there."""
        _, fault = self._sock.ask(encode_next_hop_query(object_id))
        return fault is None

    def ensure(
        self, entry: Entry, afi: int, hops: tuple[RawHop, ...], *, is_group: bool
    ) -> Fault | None:
        """Make ``entry``'s object lead to ``hops``, changing it in place if it exists."""
        content = self.content(entry, afi, hops, is_group=is_group)
        return content if isinstance(content, Fault) else self.change(entry, content)

    def content(
        self, entry: Entry, afi: int, hops: tuple[RawHop, ...], *, is_group: bool
    ) -> Content | Fault:
        """Return what ``entry``'s object must be to lead to ``hops``; members are made.

        A group stays one, of whatever size: the kernel makes no single hop of it.
        """
        if not is_group and not self._held.get(entry.object_id, (0, None, ()))[2]:
            return family_of(afi, hops[0]), (*hops[0][:3], 1), ()
        members = []
        for hop in hops:
            lone: RawHop = (*hop[:3], 1)
            member = self._make((family_of(afi, hop), lone, ()), is_shared=True)
            if isinstance(member, Fault):
                return member
            members.append((member, hop[3]))
        return 0, None, tuple(sorted(members))

    def change(self, entry: Entry, content: Content) -> Fault | None:
        """Make or change ``entry``'s object; the kernel may look at all its routes."""
        if not entry.object_id:
            made = self._make(content, is_shared=False)
            if isinstance(made, Fault):
                return made
            entry.object_id = made
            self._owners[made] = entry
            return None
        if self._held.get(entry.object_id) == content:
            return None
        flags = NLM_F_CREATE | NLM_F_REPLACE
        fault = self._write(entry.object_id, content, flags)
        if fault is None:
            self._note(entry.object_id, content)
        return fault

    def _note(self, object_id: int, content: Content) -> None:
        self.forget(object_id)
        self._held[object_id] = content
        self._by_content.setdefault(content, set()).add(object_id)

    def _write(self, object_id: int, content: Content, flags: int) -> Fault | None:
        family, hop, group = content
        if hop is not None:
            request = encode_next_hop(object_id, self._protocol, family, hop, flags)
        else:
            request = encode_group(object_id, self._protocol, group, flags)
        return self._sock.ask(request)[1]

    def _make(self, content: Content, *, is_shared: bool) -> int | Fault:
        known = self._by_content.get(content, set()) - self._owners.keys()
        if known and not is_shared:
            known -= self._members()
        if known:
            return min(known)
        for _ in range(_ID_COUNT):
            candidate = self._next_id
            self._next_id += 1
            if self._next_id >= FIRST_ID + _ID_COUNT:
                self._next_id = FIRST_ID
            if candidate in self._held:
                continue
            fault = self._write(candidate, content, NLM_F_CREATE | NLM_F_EXCL)
            if fault is None:
                self._users.pop(candidate, None)
                self._note(candidate, content)
                return candidate
            if fault.errno != errno.EEXIST:
                return fault
        return Fault(errno.ENOSPC, "no free next-hop object number")

    def _members(self) -> set[int]:
        return {member for _, _, group in self._held.values() for member, _ in group}

    def remove(self, entry: Entry) -> bool:
        """Delete an entry's object; the kernel drops all routes through it, too."""
        _, fault = self._sock.ask(encode_next_hop_removal(entry.object_id))
        if fault is None:
            self.forget(entry.object_id)
            self._users.pop(entry.object_id, None)
            self.release(entry)
        return fault is None

    def release(self, entry: Entry) -> None:
        """Let go of an entry's object; ``remove_unused`` deletes it."""
        self._owners.pop(entry.object_id, None)
        entry.object_id = 0

    def remove_unused(self, still_used: Iterable[int]) -> None:
        """Delete objects that no entry holds; the kernel drops routes through them.

        Args:
            still_used: Objects that routes found in the kernel refer to.
        """
        keep = {*self._owners, *still_used}
        unused = self._held.keys() - keep - self._members()
        for _ in range(2):  # first the groups, then what only they used
            for object_id in unused:
                self._sock.ask(encode_next_hop_removal(object_id))
                self.forget(object_id)
                self._users.pop(object_id, None)
            unused = self._held.keys() - keep - self._members()
