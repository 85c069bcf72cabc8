"""The BGP finite state machine as data (RFC 4271 section 8).

This module holds all that is known about states, and nothing else: which action a state
takes on an event, and where it goes. It does not know who carries the actions out
(``connection_fsm``), nor that a peer may have two connections at a time, one it opened and one
we opened, each with its own machine (``peer``).

``lookup`` is total. A pair that has no cell falls to its state's default, the RFC's "any
other event". ``docs/fsm.md`` is drawn from these tables, and a test keeps it fresh.

RFC says / ours:

* the RFC tells 16 and 17 from each other and then treats them alike, except for DelayOpen,
  which it writes as a condition. A condition is not a table: with DelayOpen the event is
  ``TCP_CONNECTED_DELAY_OPEN``, as the RFC itself splits 19 and 20;
* a failed connect (18 in Connect) goes to Active instead of Idle, so that the peer may
  connect to us while we wait for the next attempt;
* a NOTIFICATION is never answered, although 8.2.2 would answer 25 in OpenSent by 5/0: section
  6.4 forbids it;
* a bad OPEN or header while DelayOpen runs is answered by a NOTIFICATION
  (SendNOTIFICATIONwithoutOPEN is on);
* damping (events 6, 7, 13) is the peer's: it holds a machine in Idle and feeds it an
  automatic start when the idle hold time is over. Events 14 and 15, optional in the RFC, are
  decided before a machine exists: an unwanted connection is refused.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from types import MappingProxyType
from typing import Final, NamedTuple


@unique
class State(IntEnum):
    """States with the values of the BGP MIB (RFC 4273 bgpPeerState)."""

    IDLE = 1
    CONNECT = 2
    ACTIVE = 3
    OPEN_SENT = 4
    OPEN_CONFIRM = 5
    ESTABLISHED = 6


@unique
class Event(IntEnum):
    """Inputs: up to 28 with the RFC's numbers (8.1), 29 of RFC 9687, the rest ours."""

    MANUAL_START = 1
    MANUAL_STOP = 2
    AUTOMATIC_START = 3
    MANUAL_START_PASSIVE = 4
    AUTOMATIC_START_PASSIVE = 5
    AUTOMATIC_STOP = 8
    CONNECT_RETRY_TIMER_EXPIRES = 9
    HOLD_TIMER_EXPIRES = 10
    KEEPALIVE_TIMER_EXPIRES = 11
    DELAY_OPEN_TIMER_EXPIRES = 12
    TCP_CR_ACKED = 16
    TCP_CONNECTION_CONFIRMED = 17
    TCP_CONNECTION_FAILS = 18
    BGP_OPEN = 19
    BGP_OPEN_WITH_DELAY_OPEN_TIMER = 20
    BGP_HEADER_ERR = 21
    BGP_OPEN_MSG_ERR = 22
    OPEN_COLLISION_DUMP = 23
    NOTIF_MSG_VER_ERR = 24
    NOTIF_MSG = 25
    KEEP_ALIVE_MSG = 26
    UPDATE_MSG = 27
    UPDATE_MSG_ERR = 28
    SEND_HOLD_TIMER_EXPIRES = 29
    ROUTE_REFRESH_MSG = 30  # RFC 2918
    ROUTE_REFRESH_MSG_ERR = 31  # RFC 7313 5
    TCP_CONNECTED_DELAY_OPEN = 32  # 16 or 17 with DelayOpen set
    CONNECTION_REPLACED = 33  # RFC 4724 5: the restarted peer opened a new one


@unique
class Action(IntEnum):
    """What the machine does, in the order of the cell."""

    START_CONNECT_RETRY = 1
    STOP_CONNECT_RETRY = 2
    INITIATE_CONNECT = 3  # a former attempt is abandoned
    START_DELAY_OPEN = 4
    STOP_DELAY_OPEN = 5
    SEND_OPEN = 6
    START_LARGE_HOLD = 7  # until the peer's OPEN is there
    SEND_KEEPALIVE = 8
    RESTART_KEEPALIVE = 9  # does nothing when the hold time is 0
    RESTART_HOLD = 10  # stops the timer when the hold time is 0
    ESTABLISH = 11  # tell the routing layer
    NOTIFY_CAUSE = 12  # send the NOTIFICATION that the event carries
    NOTIFY_FSM_ERROR = 13  # 5/1, 5/2, 5/3 by state (RFC 6608)
    NOTIFY_HOLD = 14  # 4/0
    NOTIFY_SEND_HOLD = 15  # 8/0 (RFC 9687)
    NOTIFY_COLLISION = 16  # 6/7 (RFC 4486)
    DROP = 17  # stop all timers, close the connection or abandon the attempt


class Transition(NamedTuple):
    """One cell: what is done, then where it goes."""

    actions: tuple[Action, ...]
    target: State


S, E, A = State, Event, Action

START_EVENTS: Final = frozenset(
    {
        E.MANUAL_START,
        E.AUTOMATIC_START,
        E.MANUAL_START_PASSIVE,
        E.AUTOMATIC_START_PASSIVE,
    }
)
"""Ignored in every state but Idle (RFC 4271 8.2.2)."""

_CONNECTING: Final = Transition((A.START_CONNECT_RETRY, A.INITIATE_CONNECT), S.CONNECT)
_LISTENING: Final = Transition((), S.ACTIVE)
_OPENED: Final = Transition(
    (A.STOP_CONNECT_RETRY, A.SEND_OPEN, A.START_LARGE_HOLD), S.OPEN_SENT
)
_DELAYED_OPEN: Final = Transition(
    (A.STOP_DELAY_OPEN, A.SEND_OPEN, A.START_LARGE_HOLD), S.OPEN_SENT
)
_CONFIRMED_LATE: Final = Transition(
    (
        A.STOP_CONNECT_RETRY,
        A.STOP_DELAY_OPEN,
        A.SEND_OPEN,
        A.SEND_KEEPALIVE,
        A.RESTART_KEEPALIVE,
        A.RESTART_HOLD,
    ),
    S.OPEN_CONFIRM,
)
_RETRYING: Final = Transition((A.DROP, A.START_CONNECT_RETRY), S.ACTIVE)
_DROPPED: Final = Transition((A.DROP,), S.IDLE)
_NOTIFIED: Final = Transition((A.NOTIFY_CAUSE, A.DROP), S.IDLE)
_HELD_TOO_LONG: Final = Transition((A.NOTIFY_HOLD, A.DROP), S.IDLE)
_COLLIDED: Final = Transition((A.NOTIFY_COLLISION, A.DROP), S.IDLE)
_UNEXPECTED: Final = Transition((A.NOTIFY_FSM_ERROR, A.DROP), S.IDLE)

TRANSITIONS: Final[Mapping[tuple[State, Event], Transition]] = MappingProxyType(
    {
        (S.IDLE, E.MANUAL_START): _CONNECTING,
        (S.IDLE, E.AUTOMATIC_START): _CONNECTING,
        (S.IDLE, E.MANUAL_START_PASSIVE): _LISTENING,
        (S.IDLE, E.AUTOMATIC_START_PASSIVE): _LISTENING,
        # -- Connect: our own attempt is under way, or DelayOpen runs on its connection
        (S.CONNECT, E.CONNECT_RETRY_TIMER_EXPIRES): _CONNECTING,
        (S.CONNECT, E.DELAY_OPEN_TIMER_EXPIRES): _DELAYED_OPEN,
        (S.CONNECT, E.TCP_CR_ACKED): _OPENED,
        (S.CONNECT, E.TCP_CONNECTION_CONFIRMED): _OPENED,
        (S.CONNECT, E.TCP_CONNECTED_DELAY_OPEN): Transition(
            (A.STOP_CONNECT_RETRY, A.START_DELAY_OPEN), S.CONNECT
        ),
        (S.CONNECT, E.TCP_CONNECTION_FAILS): _RETRYING,
        (S.CONNECT, E.BGP_OPEN_WITH_DELAY_OPEN_TIMER): _CONFIRMED_LATE,
        (S.CONNECT, E.BGP_HEADER_ERR): _NOTIFIED,
        (S.CONNECT, E.BGP_OPEN_MSG_ERR): _NOTIFIED,
        # -- Active: waiting for the next attempt or for the peer's connection
        (S.ACTIVE, E.CONNECT_RETRY_TIMER_EXPIRES): _CONNECTING,
        (S.ACTIVE, E.DELAY_OPEN_TIMER_EXPIRES): _DELAYED_OPEN,
        (S.ACTIVE, E.TCP_CR_ACKED): _OPENED,
        (S.ACTIVE, E.TCP_CONNECTION_CONFIRMED): _OPENED,
        (S.ACTIVE, E.TCP_CONNECTED_DELAY_OPEN): Transition(
            (A.STOP_CONNECT_RETRY, A.START_DELAY_OPEN), S.ACTIVE
        ),
        (S.ACTIVE, E.BGP_OPEN_WITH_DELAY_OPEN_TIMER): _CONFIRMED_LATE,
        (S.ACTIVE, E.BGP_HEADER_ERR): _NOTIFIED,
        (S.ACTIVE, E.BGP_OPEN_MSG_ERR): _NOTIFIED,
        # -- OpenSent: waiting for the peer's OPEN
        (S.OPEN_SENT, E.MANUAL_STOP): _NOTIFIED,
        (S.OPEN_SENT, E.AUTOMATIC_STOP): _NOTIFIED,
        (S.OPEN_SENT, E.HOLD_TIMER_EXPIRES): _HELD_TOO_LONG,
        (S.OPEN_SENT, E.TCP_CONNECTION_FAILS): _RETRYING,
        (S.OPEN_SENT, E.BGP_OPEN): Transition(
            (A.SEND_KEEPALIVE, A.RESTART_KEEPALIVE, A.RESTART_HOLD), S.OPEN_CONFIRM
        ),
        (S.OPEN_SENT, E.BGP_HEADER_ERR): _NOTIFIED,
        (S.OPEN_SENT, E.BGP_OPEN_MSG_ERR): _NOTIFIED,
        (S.OPEN_SENT, E.OPEN_COLLISION_DUMP): _COLLIDED,
        (S.OPEN_SENT, E.NOTIF_MSG_VER_ERR): _DROPPED,
        (S.OPEN_SENT, E.NOTIF_MSG): _DROPPED,
        # -- OpenConfirm: waiting for the KEEPALIVE that accepts our OPEN
        (S.OPEN_CONFIRM, E.MANUAL_STOP): _NOTIFIED,
        (S.OPEN_CONFIRM, E.AUTOMATIC_STOP): _NOTIFIED,
        (S.OPEN_CONFIRM, E.HOLD_TIMER_EXPIRES): _HELD_TOO_LONG,
        (S.OPEN_CONFIRM, E.KEEPALIVE_TIMER_EXPIRES): Transition(
            (A.SEND_KEEPALIVE, A.RESTART_KEEPALIVE), S.OPEN_CONFIRM
        ),
        (S.OPEN_CONFIRM, E.TCP_CONNECTION_FAILS): _DROPPED,
        (S.OPEN_CONFIRM, E.BGP_HEADER_ERR): _NOTIFIED,
        (S.OPEN_CONFIRM, E.BGP_OPEN_MSG_ERR): _NOTIFIED,
        (S.OPEN_CONFIRM, E.OPEN_COLLISION_DUMP): _COLLIDED,
        (S.OPEN_CONFIRM, E.NOTIF_MSG_VER_ERR): _DROPPED,
        (S.OPEN_CONFIRM, E.NOTIF_MSG): _DROPPED,
        (S.OPEN_CONFIRM, E.KEEP_ALIVE_MSG): Transition(
            (A.RESTART_HOLD, A.ESTABLISH), S.ESTABLISHED
        ),
        # -- Established
        (S.ESTABLISHED, E.MANUAL_STOP): _NOTIFIED,
        (S.ESTABLISHED, E.AUTOMATIC_STOP): _NOTIFIED,
        (S.ESTABLISHED, E.HOLD_TIMER_EXPIRES): _HELD_TOO_LONG,
        (S.ESTABLISHED, E.KEEPALIVE_TIMER_EXPIRES): Transition(
            (A.SEND_KEEPALIVE, A.RESTART_KEEPALIVE), S.ESTABLISHED
        ),
        (S.ESTABLISHED, E.SEND_HOLD_TIMER_EXPIRES): Transition(
            (A.NOTIFY_SEND_HOLD, A.DROP), S.IDLE
        ),
        (S.ESTABLISHED, E.TCP_CONNECTION_FAILS): _DROPPED,
        (S.ESTABLISHED, E.CONNECTION_REPLACED): _DROPPED,
        (S.ESTABLISHED, E.BGP_HEADER_ERR): _NOTIFIED,
        (S.ESTABLISHED, E.OPEN_COLLISION_DUMP): _COLLIDED,
        (S.ESTABLISHED, E.NOTIF_MSG_VER_ERR): _DROPPED,
        (S.ESTABLISHED, E.NOTIF_MSG): _DROPPED,
        (S.ESTABLISHED, E.KEEP_ALIVE_MSG): Transition((A.RESTART_HOLD,), S.ESTABLISHED),
        (S.ESTABLISHED, E.UPDATE_MSG): Transition((A.RESTART_HOLD,), S.ESTABLISHED),
        (S.ESTABLISHED, E.UPDATE_MSG_ERR): _NOTIFIED,
        (S.ESTABLISHED, E.ROUTE_REFRESH_MSG): Transition((), S.ESTABLISHED),
        (S.ESTABLISHED, E.ROUTE_REFRESH_MSG_ERR): _NOTIFIED,
    }
)
"""The cells that differ from their state's default."""

DEFAULTS: Final[Mapping[State, Transition]] = MappingProxyType(
    {
        S.IDLE: Transition((), S.IDLE),  # ignored
        S.CONNECT: _DROPPED,
        S.ACTIVE: _DROPPED,
        S.OPEN_SENT: _UNEXPECTED,  # NOTIFICATION 5/1
        S.OPEN_CONFIRM: _UNEXPECTED,  # 5/2
        S.ESTABLISHED: _UNEXPECTED,  # 5/3
    }
)
"""What any other event does."""


def lookup(state: State, event: Event) -> Transition:
    """Return what ``event`` does in ``state``; defined for every pair."""
    if event in START_EVENTS and state is not S.IDLE:
        return Transition((), state)
    return TRANSITIONS.get((state, event), DEFAULTS[state])
