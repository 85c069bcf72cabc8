"""The session state machine as data (RFC 5880 6.2, 6.8.6, 6.8.4, 6.8.16). Pure.

``docs`` of the RFC draw it so; what is not in the table leaves the state alone:

                           +--+
                           |  | UP, ADMIN DOWN, TIMER
                           |  V
                   DOWN  +------+  INIT
            +------------|      |------------+
            |            | DOWN |            |
            |  +-------->|      |<--------+  |
            |  |         +------+         |  |
            |  |                          |  |
            |  |               ADMIN DOWN,|  |
            |  |ADMIN DOWN,          DOWN,|  |
            |  |TIMER                TIMER|  |
            V  |                          |  V
          +------+                      +------+
     +----|      |                      |      |----+
 DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
     +--->|      | INIT, UP             |      |<---+
          +------+                      +------+
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.bfd.packet import Diagnostic, State


class Event(Enum):
    """Inputs of the state machine."""

    RECEIVED_ADMIN_DOWN = "received AdminDown"
    RECEIVED_DOWN = "received Down"
    RECEIVED_INIT = "received Init"
    RECEIVED_UP = "received Up"
    DETECTION_TIME_EXPIRED = "detection time expired"
    DISABLE = "disabled here"
    ENABLE = "enabled here"


class Transition(NamedTuple):
    """Where it goes, and the diagnostic that says why."""

    target: State
    diagnostic: Diagnostic


RECEIVED: Final = (  # by the state in the packet
    Event.RECEIVED_ADMIN_DOWN,
    Event.RECEIVED_DOWN,
    Event.RECEIVED_INIT,
    Event.RECEIVED_UP,
)
_INIT: Final = Transition(State.INIT, Diagnostic.NONE)
_UP: Final = Transition(State.UP, Diagnostic.NONE)
_SIGNALED: Final = Transition(State.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN)
_EXPIRED: Final = Transition(State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED)
_DISABLED: Final = Transition(State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN)
_ENABLED: Final = Transition(State.DOWN, Diagnostic.NONE)

TRANSITIONS: Final[Mapping[tuple[State, Event], Transition]] = MappingProxyType(
    {
        (State.ADMIN_DOWN, Event.ENABLE): _ENABLED,
        (State.DOWN, Event.RECEIVED_DOWN): _INIT,
        (State.DOWN, Event.RECEIVED_INIT): _UP,
        (State.DOWN, Event.DISABLE): _DISABLED,
        (State.INIT, Event.RECEIVED_ADMIN_DOWN): _SIGNALED,
        (State.INIT, Event.RECEIVED_INIT): _UP,
        (State.INIT, Event.RECEIVED_UP): _UP,
        (State.INIT, Event.DETECTION_TIME_EXPIRED): _EXPIRED,
        (State.INIT, Event.DISABLE): _DISABLED,
        (State.UP, Event.RECEIVED_ADMIN_DOWN): _SIGNALED,
        (State.UP, Event.RECEIVED_DOWN): _SIGNALED,
        (State.UP, Event.DETECTION_TIME_EXPIRED): _EXPIRED,
        (State.UP, Event.DISABLE): _DISABLED,
    }
)
