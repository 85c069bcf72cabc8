"""One address family's routes in the kernel: targets resolved, routes written and read.

Synchronous, a few milliseconds a call; ``fib.kernel`` says when. A target is resolved
once, not per prefix: interface names to numbers, gateways to the interface that reaches
them, hops on links that are down left out, a next-hop object made. Where nothing is left,
the target has a ``Fault`` and its prefixes wait for a link, an address or a route.
"""

import asyncio
import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from fib.conflicts import Conflicts
from fib.kernel_links import Links
from fib.netlink.rtnetlink import (
    DEFAULT_METRIC,
    Image,
    RawHop,
    RouteMessage,
    delete_body,
    route_body,
)
from fib.netlink.sockets import RequestSocket
from fib.next_hop_objects import NextHopObjects
from fib.place import Place
from fib.plan import DELETE, Entry, Operation, RouteTable
from fib.route_writer import RouteWriter
from fib.routes import Fault, Target, TargetKind
from fib.target_resolver import TargetResolver
from fib.waiting import BULK
from rib.family import AFI_IPV4

# Theory
# ------
# A hundred thousand prefixes lead to a handful of targets. Whatever depends on the target
# alone is done once for it: names to interface numbers, gateways to links, the message that
# all its routes share, and a next-hop object. So an `Entry` is the unit, and a prefix
# only refers to one:
#
#       Target ----resolve----> RawHops ----> Image ----> body of the message
#         |                        |            '-- or the number of a next-hop object
#         |                        '-- Fault: no usable hop; the entry is blocked
#         '-- entry(target), made when first wanted, resolved when first written
#
# When the way of a target changes, there are three cases, from the cheapest:
#
#   1. It has an object that can become the new hops: one message moves all its routes
#      (`prepare_changed`). The kernel allows that within a family and a kind of next hop.
#   2. It has no object, or one that cannot become that: a new entry supersedes it, and its routes
#      are queued to be rewritten. The former entry stays until its last route has left.
#   3. No hop is left: the entry is blocked, its routes leave the kernel rather than mislead,
#      and they wait for a link, an address or a foreign route.
#
# Invariants:
#
# * `_entries` has one entry per target, the current one. `_former` has those that routes in the
#   kernel still refer to; nothing new is queued for them.
# * An entry's image is what its routes in the kernel have. If the two would differ, the entry
#   is superseded first: a route is never counted for hops that it does not have.
# * What was found in the kernel is `_found`, by image: a wish for the same image adopts it
#   without a write.
# * The kernel may refuse next-hop objects (old, or of a kind of hop it does not know). Then
#   the entry is made plain, and everything works, only slower.
# * While slices of new routes are on their way, nothing else is asked, and all of them are of
#   different prefixes: what the kernel refuses is dealt with after the last one (ADR 0043).
#
# Deliberately not here: order and pace (`fib.kernel`), how a gateway is reached
# (`fib.target_resolver`), the table of wishes (`fib.plan`).
#
# Sources: Linux net/ipv4/nexthop.c (replace of a nexthop: same family, group stays group).

_OBJECT_ERRORS: Final = frozenset({errno.EINVAL, errno.ENOENT, errno.ENODEV})
_LINK_ERRORS: Final = frozenset(
    {errno.ENETDOWN, errno.ENODEV, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
_NEW_SLICES: Final = 8  # of new routes, before another family has its turn
_GATHER_STEP: Final = 0.002  # seconds between looks at whether the rest has come
_GATHER_PAUSE: Final = (
    0.06  # seconds without another piece after which none is expected
)
_GATHER_LIMIT: Final = 0.25  # seconds that changes wait for the rest at most


class KernelFamily:
    """The targets and routes of one family.

    Args:
        afi: Which.
        sock: Where to ask.
        objects: Next-hop objects of both families.
        links: Kept up to date by the caller.
        place: Where our routes are.
        uses_objects: Whether new targets get next-hop objects.

    Attributes:
        routes: What is wanted and what the kernel holds.
        writer: Sends what is decided.
        conflicts: Prefixes that other programs' routes keep out.
    """

    def __init__(
        self,
        afi: int,
        sock: RequestSocket,
        objects: NextHopObjects,
        links: Links,
        place: Place,
        *,
        uses_objects: bool,
    ) -> None:
        self.afi = afi
        self.routes = RouteTable(spreads_new=afi == AFI_IPV4)
        self.conflicts = Conflicts(afi, self.routes)
        self.writer = RouteWriter(
            sock, afi, self.routes, (self._suspect_objects, self.conflicts.note)
        )
        self._sock = sock
        self._objects = objects
        self._resolver = TargetResolver(afi, sock, links)
        self._place = place
        self._uses_objects = uses_objects
        self._entries: dict[Target, Entry] = {}
        self._former: set[Entry] = set()  # superseded; routes still refer to them
        self._found: dict[tuple[Image, int], Entry] = {}  # what the kernel showed

    # -- targets -----------------------------------------------------------------------

    def entry(self, target: Target) -> Entry:
        """Return the one entry of ``target``; resolved only when it is first written."""
        entry = self._entries.get(target)
        if entry is None:
            metric = target.metric or DEFAULT_METRIC[self.afi]
            is_unicast = target.kind is TargetKind.UNICAST
            entry = Entry(target, metric, uses_object=self._uses_objects and is_unicast)
            self._entries[target] = entry
        return entry

    def retarget(self, old: Target, new: Target) -> None:
        """Lead what leads to ``old`` to ``new``; one message where objects can."""
        entry = self._entries.get(old)
        if entry is None or old == new:
            return
        del self._entries[old]
        is_changeable = old.can_become(new)
        followers = {entry} | {e for e in self._former if e.target == old}
        followers |= {e for e in self._found.values() if e.image == entry.image}
        rewritten = set()
        for follower in followers:
            is_ours = follower is entry or follower in self._former
            if is_ours and follower.object_id and is_changeable:
                follower.target, follower.is_ready = new, False
                if new in self._entries:
                    self._former.add(follower)
                else:
                    self._former.discard(follower)
                    self._entries[new] = follower
            else:
                rewritten.add(follower)
                if is_ours:
                    self._former.add(follower)
        if rewritten:
            self.routes.redirect(rewritten, self.entry(new))

    def prepare(self, entry: Entry) -> None:
        """Bring an entry up to date; its routes are queued if they must be rewritten."""
        entry.is_ready = True
        target = entry.target
        hops: tuple[RawHop, ...] | Fault = ()
        if target.kind is TargetKind.UNICAST:
            hops = self._resolver.resolve(target)
        if isinstance(hops, Fault):
            self._block(entry, hops)
            return
        image: Image = (target.kind, entry.metric, target.preferred_source, hops)
        if entry.uses_object:
            is_group = len(target.hops) > 1
            fault = self._objects.ensure(entry, self.afi, hops, is_group=is_group)
            if fault is not None and fault.errno in _LINK_ERRORS:
                self._block(entry, fault)
                return
            if fault is not None:
                self.make_plain(entry)
                return
        elif entry.count and entry.image not in (None, image):
            self._supersede(entry, uses_object=False)
            return
        was_blocked = entry.fault is not None
        entry.fault, entry.image = None, image
        entry.body = route_body(self.afi, image, *self._place, entry.object_id)
        entry.delete_body = delete_body(*self._place, entry.metric)
        if was_blocked:
            self.routes.redirect({entry}, entry)

    def _block(self, entry: Entry, fault: Fault) -> None:
        was_usable = entry.fault is None and entry.image is not None
        entry.fault = fault
        if was_usable:
            self.routes.redirect({entry}, entry)  # they go, rather than mislead

    def _supersede(self, entry: Entry, *, uses_object: bool) -> None:
        new = Entry(entry.target, entry.metric, uses_object=uses_object)
        if self._entries.get(entry.target) is entry:
            self._entries[entry.target] = new
        else:
            self._former.add(new)
        self._former.add(entry)
        self.prepare(new)
        self.routes.redirect({entry}, new)

    def make_plain(self, entry: Entry) -> None:
        """Stop using a next-hop object for an entry: the kernel refuses it."""
        if entry.count or entry.object_id:
            entry.uses_object = False
            self._supersede(entry, uses_object=False)
        else:
            entry.uses_object = False
            self.prepare(entry)

    def refresh(self, *, only_blocked: bool) -> None:
        """Resolve targets again: links, addresses or other programs' routes changed."""
        for entry in [*self._entries.values(), *self._former]:
            if not entry.is_ready:
                continue
            is_degraded = entry.fault is not None or self._lacks_hops(entry)
            if is_degraded or not only_blocked:
                self.prepare(entry)

    async def prepare_changed(self) -> None:
        """Bring retargeted entries up to date."""
        for entry in [*self._entries.values(), *self._former]:
            if not entry.is_ready and entry.object_id:
                await self._change_object(entry)
                self.prepare(entry)

    async def _change_object(self, entry: Entry) -> None:
        """Lead an entry's object to its target; 100,000 routes take the kernel 20 ms.

        One question alone is asked aside, since each answer waits for the interpreter.
        What fails here fails again in ``prepare``, which deals with it.
        """
        target, objects = entry.target, self._objects
        hops = self._resolver.resolve(target)
        if isinstance(hops, Fault):
            return
        is_group = len(target.hops) > 1
        content = objects.content(entry, self.afi, hops, is_group=is_group)
        if not isinstance(content, Fault):
            await self._sock.in_thread(partial(objects.change, entry, content))

    @staticmethod
    def _lacks_hops(entry: Entry) -> bool:
        image = entry.image
        return isinstance(image, tuple) and len(image[3]) < len(entry.target.hops)

    def uses_link(self, index: int, name: str) -> bool:
        """Say whether a target leads, or would lead, over a device."""
        for entry in [*self._entries.values(), *self._former]:
            if any(hop.interface == name for hop in entry.target.hops):
                return True
            image = entry.image
            if isinstance(image, tuple) and any(hop[1] == index for hop in image[3]):
                return True
        return False

    @property
    def has_blocked(self) -> bool:
        """Some target cannot be reached, or not by all its hops."""
        entries = [*self._entries.values(), *self._former]
        return any(e.fault is not None or self._lacks_hops(e) for e in entries)

    def forget_unused(self) -> list[int]:
        """Drop entries no route refers to; return objects that found routes refer to.

        Only when nothing is pending, as pending wishes are not counted.
        """
        # Routes kept as they were found stand for a target of the same image.
        kept = {e.image for e in self._found.values() if e.count}
        unused = [
            target
            for target, entry in self._entries.items()
            if not entry.count and (entry.image is None or entry.image not in kept)
        ]
        for target in unused:
            self._objects.release(self._entries.pop(target))
        for entry in [e for e in self._former if not e.count]:
            self._objects.release(entry)
            self._former.discard(entry)
        self._found = {k: e for k, e in self._found.items() if e.count}
        return [object_id for _, object_id in self._found if object_id]

    # -- writing -----------------------------------------------------------------------

    async def write_slice(self, max_count: int) -> bool:
        """Write up to ``max_count`` waiting changes, or some slices of new routes.

        Returns whether there were any.

        Raises:
            FibError: The kernel's answer is unknown; audit.
        """
        routes = self.routes
        if not routes.waiting.batch and len(routes.waiting.pending) >= BULK:
            await self._gather()
            for have, want in routes.whole_moves():
                await self._move_whole(have, want)
        if await self._create_new(max_count):
            return True
        changes = routes.take(max_count)
        for entry in {want for _, want in changes if want is not None}:
            if not entry.is_ready:
                self.prepare(entry)
        if changes:
            await self.writer.write(routes.decide(changes))
            return True
        surplus = routes.take_surplus()
        await self.writer.write(surplus)
        return bool(surplus) or bool(routes.waiting.pending)

    async def _gather(self) -> None:
        """Wait a little for the rest where many prefixes leave one target.

        A lost gateway's routes come in pieces, and all of them are one message.
        """
        routes, time = self.routes, asyncio.get_running_loop().time
        entry = routes.left_by_most()
        if entry is None or not entry.object_id:
            return
        began = grown = time()
        size = len(routes.waiting.pending)
        while size < entry.count:
            await asyncio.sleep(_GATHER_STEP)
            now = time()
            if len(routes.waiting.pending) > size:
                size, grown = len(routes.waiting.pending), now
            if now - grown > _GATHER_PAUSE or now - began > _GATHER_LIMIT:
                return

    async def _move_whole(self, have: Entry, want: Entry | None) -> None:
        """Move or remove all routes of an entry by its next-hop object, if that is possible."""
        if not have.object_id or not have.is_ready or have.fault is not None:
            return
        if self.routes.has_leftovers or any(e.count for e in self._found.values()):
            return  # they may refer to it as well
        if not self._objects.serves_only(have.object_id, self.afi):
            return
        if want is None:
            await self._drop_whole(have)
            return
        if not want.is_ready:
            self.prepare(want)
        if not want.object_id or want.fault is not None or have.metric != want.metric:
            return
        if not have.target.can_become(want.target):
            return
        self._retire(have)
        have.target, have.is_ready = want.target, False
        await self._change_object(have)
        self.prepare(have)

    async def _drop_whole(self, entry: Entry) -> None:
        self._retire(entry)
        remove = partial(self._objects.remove, entry)
        if await self._sock.in_thread(remove):
            entry.is_gone, entry.is_ready = True, False

    def _retire(self, entry: Entry) -> None:
        """Let nothing new lead to an entry; its routes still do."""
        if self._entries.get(entry.target) is entry:
            del self._entries[entry.target]
        self._former.add(entry)

    async def _create_new(self, max_count: int) -> bool:
        """Create many new routes, so many a slice; say whether there were any.

        A slice is made while the kernel works on the one before.
        """
        routes = self.routes
        entry = routes.next_new()
        if entry is not None and not entry.is_ready:
            self.prepare(entry)
            entry = routes.next_new()
        count = 0
        while (
            entry is not None
            and entry.is_ready
            and entry.fault is None
            and count < _NEW_SLICES
        ):
            await self.writer.create(routes.take_new(entry, max_count), entry)
            count += 1
            entry = routes.next_new()
        await self.writer.finish()
        return count > 0

    def _suspect_objects(
        self, operations: Sequence[Operation], faults: Mapping[int, Fault]
    ) -> None:
        suspects: dict[Entry, list[bytes]] = {}
        for index, fault in faults.items():
            verb, nlri, entry = operations[index]
            if verb is not DELETE and entry.object_id and fault.errno in _OBJECT_ERRORS:
                suspects.setdefault(entry, []).append(nlri)
        for entry, nlris in suspects.items():
            if self._objects.exists(entry.object_id):
                self.make_plain(entry)
            else:  # it went with its link; another is made, or the link is missed
                self._objects.forget(entry.object_id)
                entry.is_ready = False
                self.routes.requeue(nlris)

    # -- reading -----------------------------------------------------------------------

    def seen(self, route: RouteMessage) -> Entry:
        """Return the entry for one of our routes as the kernel shows it."""
        image = route.image
        object_id = route.object_id
        if object_id:
            self._objects.note_user(object_id, self.afi)
            hops = self._objects.hops(object_id)
            owner = self._objects.owner(object_id)
            if hops is not None:
                image = (*image[:3], hops)
            if owner is not None and owner.image == image:
                return owner
        else:
            for entry in self._plain_entries(image):
                return entry
        known = self._found.get((image, object_id))
        if known is None:
            known = Entry(self._resolver.describe(image), image[1], uses_object=False)
            known.image, known.is_ready, known.object_id = image, True, object_id
            known.body = route_body(self.afi, image, *self._place, object_id)
            known.delete_body = delete_body(*self._place, image[1])
            self._found[image, object_id] = known
        return known

    def _plain_entries(self, image: Image) -> Iterator[Entry]:
        target = self._resolver.describe(image)
        for candidate in (self._entries.get(target), *self._former):
            if (
                candidate is not None
                and candidate.image == image
                and not candidate.object_id
                and candidate.is_ready
                and candidate.fault is None
            ):
                yield candidate

    def observe(self, route: RouteMessage) -> bool:
        """Take in one foreign route with our protocol; say whether ours was changed.

        An unwanted route becomes stale, and goes with the next sweep.
        """
        return bool(self.routes.observe(route.nlri, self.seen(route)))

    def audit(self, found: Iterable[tuple[bytes, RouteMessage]]) -> list[bytes]:
        """Compare a part of a dump of our routes; return prefixes found changed."""
        memo: dict[int, Entry] = {}
        pairs = []
        for nlri, route in found:
            key = id(route)  # the dump's routes live as long as this call
            entry = memo.get(key)
            if entry is None:
                if (route.table, route.protocol) != self._place:
                    continue  # a kernel without strict dumps ignores the filter
                entry = memo[key] = self.seen(route)
            pairs.append((nlri, entry))
        return self.routes.audit(pairs)
