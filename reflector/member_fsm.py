"""The member of an update group as a state machine: what it has been sent, and what it is owed.

This module alone decides what each event means to a member in each situation, and alone
writes a member's state. ``docs/members.md`` is drawn from its table. Sans-IO: an event returns
what its caller must do.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum, unique
from types import MappingProxyType
from typing import Final, NamedTuple

from rib.change import Change
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry, best_of

# Theory
# ------
# A session that comes up must receive the whole table (RFC 4271 9.2), then its End-of-RIB (RFC
# 4724 2), then each change once; a ROUTE-REFRESH repeats the whole table (RFC 2918), between two
# marks if both sides know them (RFC 7313). A reader that is slower than its group must neither
# stop the others nor grow a buffer. The difficulty is that all of it happens at the same time: a
# slow peer joins, requests a refresh, blocks, resumes and leaves while its export policy changes.
#
#                    JOINED            WALK_BEGAN           WALK_FINISHED
#      OUTSIDE ----------------> WAITING --------> WALKING ----------------> ENDING
#         |                      ^     |              |                     ^  |  |
#         |                      |     |              |       CAUGHT_UP     |  |  | END_ALLOWED
#         | MOVED  REFRESH_ASKED |     |   WRITING_   |    .----------------'  |  v
#         |                      |     |   PAUSED     |    |                   |  |
#         |                   CURRENT--|--------------|----|-------------------|--'
#         |                      |     v              v    |                   |
#         |                      |    .----------------.   |                   |
#         '----------------------+--->|    BLOCKED     |<--+-------------------'
#                                     '----------------'   |
#                        WRITING_RESUMED |      ^ WRITING_PAUSED
#                                        v      |          |
#                                      CATCHING_UP --------'
#
# LEFT leads from every state to OUTSIDE.
#
# What a member holds is not stored. It is what the group's `Export` makes of Loc-RIB, with three
# corrections, which are this machine's registers:
#
# * `pending_changes`: prefixes that changed while the peer was slow, each with the entry that it
#   was last sent. The newest state wins, so the table bounds their number, never time.
# * `pending_walk` and `owes_table`: prefixes of a walk through the table that it could not finish
#   with the others; all of them if the walk had not begun.
# * `has_uncertain_export`: a policy changed, so the entries in `pending_changes` are no longer what
#   today's export would make of them. Everything is sent, and whatever is no longer exported is
#   withdrawn, needed or not.
#
# Invariants, each with a law in the tests:
#
# * `is_slow` holds in BLOCKED and CATCHING_UP, and only there. Only its own catch-up writes to a
#   slow peer; every other member gets each flush at once. So a change reaches a member in one of
#   two ways, never in both, and per prefix in order.
# * Registers are empty in every state but the slow ones; CAUGHT_UP is fed only when they are.
# * The end mark (End-of-RIB, or the end of a refresh) leaves in one transition only: from ENDING
#   to CURRENT. ENDING is a state, and not a moment, because a speaker that restarted withholds
#   End-of-RIB until it has the routes itself (RFC 4724 4.1).
# * A refresh begins in CURRENT only, hence after End-of-RIB and never inside another (RFC 7313 4).
#   An earlier request is deferred, and begins when CURRENT is reached; several merge, as each of
#   them requests the whole table.
#
# RFC says / ours:
#
# * RFC 2918 wants the Adj-RIB-Out sent again. There is none: the walk sends what the export makes
#   of Loc-RIB, and withdrawals that happen meanwhile are changes like others.
# * RFC 7313 lets a refresh begin whenever End-of-RIB is out. We also wait until a slow peer has
#   caught up: its socket is full, so an earlier beginning would not reach it earlier.
#
# Deliberately not here: sockets (writing paused and resumed are events; `bgpd.net` has the
# thresholds), octets of UPDATEs (`reflector.group`), which members walk together
# (`reflector.walks`), and when a slice is due (`bgpd.pipeline.catch_up`). Pacing (RFC 4271 9.2.1.1)
# is a matter of prefixes, not of members (`reflector.pacing`).
#
# Sources: RFC 4271 9.2, RFC 2918 4, RFC 7313 4, RFC 4724 2 and 4.1. OpenBGPD and FRR split slow
# peers from their update groups too; here they stay in the group, and have changes noted.


@unique
class State(IntEnum):
    """Where a member stands between nothing and the whole table."""

    OUTSIDE = 0  # it has not joined, or has left
    WAITING = 1  # for the next walk through the table to begin
    WALKING = 2  # it takes part in a walk, and gets flushes between the slices
    ENDING = 3  # it has the whole table; its end mark was not sent yet
    CURRENT = 4  # it has the whole table and its end mark
    BLOCKED = 5  # a slow peer whose socket is full: changes are noted
    CATCHING_UP = 6  # a slow peer whose socket has room: it is sent what was noted


@unique
class Event(IntEnum):
    """What happens to a member; none of these comes from the machine itself."""

    JOINED = 1  # a session came up
    MOVED = 2  # from another group, whose export it was sent
    LEFT = 3  # the session went down, or moved on
    WALK_BEGAN = 4
    WALK_FINISHED = 5
    END_ALLOWED = 6  # an end mark may leave: at once, except during our restart
    REFRESH_ASKED = 7  # RFC 2918, RFC 7313
    EXPORT_CHANGED = 8  # what it was sent is not what today's export says
    WRITING_PAUSED = 9  # its socket is full
    WRITING_RESUMED = 10  # its socket has room again
    CAUGHT_UP = 11  # nothing is noted any more


@unique
class Action(IntEnum):
    """What a transition does, in the order of the cell."""

    SET_END = 1  # remember the end mark of the table to come
    CARRY_OVER = 2  # from the membership in the group before
    OWE_TABLE = 3  # it needs a walk of its own
    KEEP_REST = 4  # note what is left of the walk it leaves
    DOUBT_EXPORT = 5  # whatever it was sent may differ from what today's export says
    TRUST_EXPORT = 6
    DEFER_REFRESH = 7
    RESET = 8  # empty all registers
    BEGIN_DEFERRED = 9  # the deferred refresh is requested now
    # Carried out by the caller that fed the event:
    GATHER = 10  # let it take part in the next walk
    SEND_BEGIN = 11  # the mark that begins a refresh, if any
    SEND_END = 12  # the end mark, if any
    CATCH_UP = 13  # send what was noted, slice by slice


class Transition(NamedTuple):
    """One cell: what is done, then where it goes."""

    actions: tuple[Action, ...]
    target: State


class Output(NamedTuple):
    """What the one who fed an event must do, in order.

    Attributes:
        action: GATHER, CATCH_UP, SEND_BEGIN or SEND_END.
        octets: To be written: one message; empty where nothing is.
    """

    action: Action
    octets: bytes = b""


class Given(NamedTuple):
    """What an event brings with it; each has its own part of these.

    Attributes:
        begin: Octets to send before a walk through the table.
        end: Octets to send after it.
        rest: Prefixes that a walk has not come to yet.
        held: Prefixes that the peer may hold, each with the entry that it was sent.
        deferred: The marks of a refresh that waits in the group before.
    """

    begin: bytes = b""
    end: bytes = b""
    rest: Iterable[Nlri] = ()
    held: Mapping[Nlri, Entry | None] = MappingProxyType({})
    deferred: tuple[bytes, bytes] | None = None


S, E, A = State, Event, Action

SLOW: Final = frozenset({S.BLOCKED, S.CATCHING_UP})
"""States of a slow peer: changes are noted instead of written."""

_BLOCKED: Final = Transition((), S.BLOCKED)

TRANSITIONS: Final[Mapping[tuple[State, Event], Transition]] = MappingProxyType(
    {
        (S.OUTSIDE, E.JOINED): Transition((A.SET_END, A.GATHER), S.WAITING),
        # Whether its socket has room follows as an event of its own.
        (S.OUTSIDE, E.MOVED): Transition(
            (A.SET_END, A.CARRY_OVER, A.DOUBT_EXPORT), S.BLOCKED
        ),
        # -- Waiting: it has what it had before, which is nothing where it joined
        (S.WAITING, E.WALK_BEGAN): Transition((), S.WALKING),
        (S.WAITING, E.REFRESH_ASKED): Transition((A.DEFER_REFRESH,), S.WAITING),
        (S.WAITING, E.WRITING_PAUSED): Transition((A.OWE_TABLE,), S.BLOCKED),
        # -- Walking
        (S.WALKING, E.WALK_FINISHED): Transition((), S.ENDING),
        (S.WALKING, E.REFRESH_ASKED): Transition((A.DEFER_REFRESH,), S.WALKING),
        (S.WALKING, E.WRITING_PAUSED): Transition((A.KEEP_REST,), S.BLOCKED),
        # -- Ending
        (S.ENDING, E.END_ALLOWED): Transition(
            (A.SEND_END, A.BEGIN_DEFERRED), S.CURRENT
        ),
        (S.ENDING, E.REFRESH_ASKED): Transition((A.DEFER_REFRESH,), S.ENDING),
        (S.ENDING, E.WRITING_PAUSED): _BLOCKED,
        # -- Current
        (S.CURRENT, E.REFRESH_ASKED): Transition(
            (A.SEND_BEGIN, A.SET_END, A.GATHER), S.WAITING
        ),
        (S.CURRENT, E.WRITING_PAUSED): _BLOCKED,
        # -- Blocked
        (S.BLOCKED, E.WRITING_RESUMED): Transition((A.CATCH_UP,), S.CATCHING_UP),
        (S.BLOCKED, E.REFRESH_ASKED): Transition((A.DEFER_REFRESH,), S.BLOCKED),
        (S.BLOCKED, E.EXPORT_CHANGED): Transition((A.DOUBT_EXPORT,), S.BLOCKED),
        # -- Catching up
        (S.CATCHING_UP, E.CAUGHT_UP): Transition((A.TRUST_EXPORT,), S.ENDING),
        (S.CATCHING_UP, E.REFRESH_ASKED): Transition((A.DEFER_REFRESH,), S.CATCHING_UP),
        (S.CATCHING_UP, E.EXPORT_CHANGED): Transition((A.DOUBT_EXPORT,), S.CATCHING_UP),
        (S.CATCHING_UP, E.WRITING_PAUSED): _BLOCKED,
    }
)
"""The cells that change or do something."""

_LEFT: Final = Transition((A.RESET,), S.OUTSIDE)


_NOTHING: Final = Given()


def lookup(state: State, event: Event) -> Transition:
    """Return what ``event`` does in ``state``; defined for every pair.

    A pair without a cell changes nothing: events of a socket or of a walk may come after
    what they were about is over.
    """
    if event is E.LEFT:
        return _LEFT
    return TRANSITIONS.get((state, event)) or Transition((), state)


class Member:
    """One peer in one group: a method for each event, and what a slow peer has noted.

    An event returns what its caller must do before it feeds the next one: the
    machine is in its next state already.

    Attributes:
        source: The peer, as the RIB knows it.
        state: Written by transitions only.
        is_slow: Whether changes are noted instead of written: ``state in SLOW``, stored
            since every flush asks every member.
        pending_changes: Prefixes that changed while it was slow, each with the entry that
            it was last sent; ``None`` for nothing.
        pending_walk: Prefixes of a walk that it could not take part in to the end.
        owes_table: It needs a walk of its own, which has not begun.
        has_uncertain_export: What it was sent of ``pending_changes`` is not what today's
            export says.
        end_mark: Octets to send once it has the whole table; empty for none.
        deferred_refresh: The marks of a refresh that was requested too early.
    """

    __slots__ = (
        "deferred_refresh",
        "end_mark",
        "has_uncertain_export",
        "is_slow",
        "owes_table",
        "pending_changes",
        "pending_walk",
        "source",
        "state",
    )

    def __init__(self, source: Source) -> None:
        self.source = source
        self.state = State.OUTSIDE
        self.is_slow = False
        self._reset()

    def _reset(self) -> None:
        self.pending_changes: dict[Nlri, Entry | None] = {}
        self.pending_walk: list[Nlri] = []
        self.owes_table = False
        self.has_uncertain_export = False
        self.end_mark = b""
        self.deferred_refresh: tuple[bytes, bytes] | None = None

    # -- events -------------------------------------------------------------------------

    def joined(self, end_mark: bytes) -> list[Output]:
        """The peer holds nothing yet; ``end_mark`` is to follow the whole table."""
        return self._feed(E.JOINED, Given(end=end_mark))

    def moved(self, was: "Member", held: Mapping[Nlri, Entry | None]) -> list[Output]:
        """The peer comes from another group. To be fed before that member has left.

        Args:
            was: The member of that group.
            held: All prefixes that the peer may hold, each with the entry it was sent.
        """
        given = Given(
            end=was.end_mark,
            held={**held, **was.pending_changes},
            deferred=was.deferred_refresh,
        )
        return self._feed(E.MOVED, given)

    def left(self) -> list[Output]:
        """The session is down, or goes on in another group."""
        return self._feed(E.LEFT)

    def walk_began(self) -> list[Output]:
        """A walk through the table begins, for all members who wait for it."""
        return self._feed(E.WALK_BEGAN)

    def walk_finished(self) -> list[Output]:
        """The walk that it takes part in has come to its end."""
        return self._feed(E.WALK_FINISHED)

    def end_allowed(self) -> list[Output]:
        """The end mark may be sent, where it is due."""
        return self._feed(E.END_ALLOWED)

    def refresh_asked(self, begin: bytes, end: bytes) -> list[Output]:
        """The peer wants the whole table again, between two marks; empty for none."""
        return self._feed(E.REFRESH_ASKED, Given(begin, end))

    def export_changed(self) -> list[Output]:
        """What the peer was sent is not what today's export says."""
        return self._feed(E.EXPORT_CHANGED)

    def writing_paused(self, rest: Iterable[Nlri] = ()) -> list[Output]:
        """The socket is full; all that was queued for the peer has been written.

        Args:
            rest: What is left of the walk that it takes part in.
        """
        return self._feed(E.WRITING_PAUSED, Given(rest=rest))

    def writing_resumed(self) -> list[Output]:
        """The socket has room again."""
        return self._feed(E.WRITING_RESUMED)

    def caught_up(self) -> list[Output]:
        """All that was noted has been written: ``has_pending`` is false."""
        return self._feed(E.CAUGHT_UP)

    def _feed(self, event: Event, given: Given = _NOTHING) -> list[Output]:
        """Make one transition; the state is the next one while its actions are done."""
        actions, self.state = lookup(self.state, event)
        self.is_slow = self.state in SLOW
        outputs: list[Output] = []
        for action in actions:
            match action:
                case A.SET_END:
                    self.end_mark = given.end
                case A.CARRY_OVER:
                    self.pending_changes.update(given.held)
                    self.deferred_refresh = given.deferred
                case A.OWE_TABLE:
                    self.owes_table = True
                case A.KEEP_REST:
                    self.pending_walk += given.rest
                case A.DOUBT_EXPORT:
                    self.has_uncertain_export = True
                case A.TRUST_EXPORT:
                    self.has_uncertain_export = False
                case A.DEFER_REFRESH:
                    self.deferred_refresh = (given.begin, given.end)
                case A.RESET:
                    self._reset()
                case A.BEGIN_DEFERRED:
                    outputs += self._begin_deferred()
                case A.SEND_BEGIN:
                    outputs.extend(_send(action, given.begin))
                case A.SEND_END:
                    outputs.extend(_send(action, self.end_mark))
                    self.end_mark = b""
                case _:
                    outputs.append(Output(action))
        return outputs

    def _begin_deferred(self) -> list[Output]:
        deferred, self.deferred_refresh = self.deferred_refresh, None
        return [] if deferred is None else self.refresh_asked(*deferred)

    # -- what a slow peer is owed -------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        """Whether something is noted that was not advertised yet."""
        return bool(self.pending_changes or self.pending_walk or self.owes_table)

    def pending_walk_size(self, table_size: int) -> int:
        """Return how many prefixes its own walk has left, in a table of so many."""
        return table_size if self.owes_table else len(self.pending_walk)

    def note(self, changes: Iterable[Change]) -> None:
        """Note changes of a slow peer; the entry that it was last sent stays.

        A prefix that was new to it and is gone again is forgotten, or those that come and
        go would gather without a bound.
        """
        pending = self.pending_changes
        is_new, note = pending.keys().isdisjoint, pending.setdefault
        for old, new, nlris in changes:
            if is_new(nlris):
                pending.update(dict.fromkeys(nlris, old))
                continue
            is_gone = best_of(new) is None
            for nlri in nlris:
                if note(nlri, old) is None and is_gone:
                    del pending[nlri]

    def take_changes(self, limit: int) -> list[tuple[Nlri, Entry | None]]:
        """Return some of the noted changes, and forget them: they are sent now."""
        pop = self.pending_changes.popitem
        return [pop() for _ in range(min(limit, len(self.pending_changes)))]

    def forget_changes(self, nlris: Iterable[Nlri]) -> None:
        """Forget what was noted of prefixes that are being sent."""
        for nlri in nlris:
            self.pending_changes.pop(nlri, None)

    def take_walk(self, limit: int, table: Iterable[Nlri]) -> list[Nlri]:
        """Return the next prefixes of its own walk through the table.

        A walk that is owed as a whole begins here and not when the socket filled up: the
        table's prefixes need not be listed for a peer that takes nothing.

        Args:
            limit: Prefixes.
            table: Loc-RIB, of which no change waits to be flushed: a prefix that is gone and
                comes back before the flush is not a change, so nothing else would send it.
        """
        if self.owes_table:
            self.owes_table = False
            self.pending_walk = list(table)
        some = self.pending_walk[-limit:]
        del self.pending_walk[-limit:]
        return some


def _send(action: Action, octets: bytes) -> list[Output]:
    return [Output(action, octets)] if octets else []
