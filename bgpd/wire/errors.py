"""Error codes of NOTIFICATION and the one exception that carries them.

``NotifyError`` ends a connection: the code that raises it has found what RFC 4271 section 6
answers with a NOTIFICATION. What concerns only some routes is not an exception but data
(``rib.errors.Problem``).

    BgpError
    +-- NotifyError     code, subcode and data of the NOTIFICATION to send
"""

from enum import IntEnum

from rib.attributes import codes


class ErrorCode(IntEnum):
    """NOTIFICATION error codes (IANA "BGP Error Codes")."""

    HEADER = 1
    OPEN = 2
    UPDATE = 3
    HOLD_TIMER_EXPIRED = 4
    FSM = 5
    CEASE = 6
    ROUTE_REFRESH = 7  # RFC 7313
    SEND_HOLD_TIMER_EXPIRED = 8  # RFC 9687


class HeaderSubcode(IntEnum):
    """Message Header Error subcodes (RFC 4271 6.1)."""

    CONNECTION_NOT_SYNCHRONIZED = 1
    BAD_MESSAGE_LENGTH = 2
    BAD_MESSAGE_TYPE = 3


class OpenSubcode(IntEnum):
    """OPEN Message Error subcodes (RFC 4271 6.2, RFC 5492 5, RFC 9234 4.2)."""

    UNSPECIFIC = 0
    UNSUPPORTED_VERSION_NUMBER = 1
    BAD_PEER_AS = 2
    BAD_BGP_IDENTIFIER = 3
    UNSUPPORTED_OPTIONAL_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7
    ROLE_MISMATCH = 11


class UpdateSubcode(IntEnum):
    """UPDATE Message Error subcodes (RFC 4271 6.3)."""

    UNSPECIFIC = 0
    MALFORMED_ATTRIBUTE_LIST = codes.MALFORMED_ATTRIBUTE_LIST
    UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE = codes.UNRECOGNIZED_WELL_KNOWN
    MISSING_WELL_KNOWN_ATTRIBUTE = codes.MISSING_WELL_KNOWN
    ATTRIBUTE_FLAGS_ERROR = codes.ATTRIBUTE_FLAGS_ERROR
    ATTRIBUTE_LENGTH_ERROR = codes.ATTRIBUTE_LENGTH_ERROR
    INVALID_ORIGIN_ATTRIBUTE = codes.INVALID_ORIGIN
    INVALID_NEXT_HOP_ATTRIBUTE = codes.INVALID_NEXT_HOP
    OPTIONAL_ATTRIBUTE_ERROR = codes.OPTIONAL_ATTRIBUTE_ERROR
    INVALID_NETWORK_FIELD = 10  # NLRI belongs to no attribute
    MALFORMED_AS_PATH = codes.MALFORMED_AS_PATH


class FsmSubcode(IntEnum):
    """Finite State Machine Error subcodes (RFC 6608 3)."""

    UNSPECIFIED = 0
    UNEXPECTED_IN_OPEN_SENT = 1
    UNEXPECTED_IN_OPEN_CONFIRM = 2
    UNEXPECTED_IN_ESTABLISHED = 3


class CeaseSubcode(IntEnum):
    """Cease subcodes (RFC 4486 3, RFC 8538 3, RFC 9384)."""

    UNSPECIFIED = 0
    MAX_PREFIXES_REACHED = 1
    ADMINISTRATIVE_SHUTDOWN = 2
    PEER_DECONFIGURED = 3
    ADMINISTRATIVE_RESET = 4
    CONNECTION_REJECTED = 5
    OTHER_CONFIGURATION_CHANGE = 6
    CONNECTION_COLLISION_RESOLUTION = 7
    OUT_OF_RESOURCES = 8
    HARD_RESET = 9
    BFD_DOWN = 10


class RouteRefreshSubcode(IntEnum):
    """ROUTE-REFRESH Message Error subcodes (RFC 7313 5)."""

    INVALID_MESSAGE_LENGTH = 1


class BgpError(Exception):
    """Base of what the BGP side of the daemon raises."""


class NotifyError(BgpError):
    """The peer broke the protocol, or we end the session: answer with a NOTIFICATION.

    Attributes:
        code: Error code, see ``ErrorCode``.
        subcode: Its meaning depends on ``code``; 0 is unspecific.
        data: The NOTIFICATION's data field.
        text: For logs only, never sent: what was found and what was expected.
        rest_time: Seconds until the next attempt at a session; 0 for the usual back-off.
    """

    def __init__(
        self,
        code: int,
        subcode: int = 0,
        data: bytes = b"",
        text: str = "",
        rest_time: int = 0,
    ) -> None:
        super().__init__(code, subcode, data, text)
        self.code = code
        self.subcode = subcode
        self.data = data
        self.text = text
        self.rest_time = rest_time

    def __str__(self) -> str:
        """Return ``code/subcode`` and the text."""
        return f"{int(self.code)}/{int(self.subcode)} {self.text}".rstrip()
