"""What a command of the API is, and how a request for one is checked. Pure.

A command is declared once (``bgpd.api.commands``). The server, the OpenAPI document, the checks of
arguments and ``pybgpctl`` all read that declaration; ``bgpd.show.commands`` has what answers it.

Imports little: ``pybgpctl`` loads this before it can ask anything.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from asyncio import Future

DEFAULT_PATH: Final = "/run/pybgpd/pybgpd.sock"
PATH_VARIABLE: Final = "PYBGPD_CONTROL_PATH"  # one name for the daemon and its clients
SHORT_PATH_VARIABLE: Final = "PYBGPD_CONTROL"  # means the same
MAX_BODY: Final = 1 << 16  # octets of a request's body, where a command takes no more
_MAX_SHOWN: Final = 80  # characters of what a client sent

Row = dict[str, Any]
Arguments = Mapping[str, Any]
# ``None`` among the rows is a yield point: nothing to say yet, let others work. A future is
# waited for, so an endless stream yields one when it has nothing to tell.
Rows = Iterable["Row | Future[Any] | None"]
Answer = Row | Rows
Handler = Callable[[Arguments], Answer | Awaitable[Answer]]


class ControlError(Exception):
    """An invalid request, or one that the daemon refuses; the client gets it, no log does.

    Args:
        code: A word for programs, such as ``no-such-peer``.
        message: A sentence for people.
        expected: What would have been right, where there is a list of it.
    """

    def __init__(self, code: str, message: str, expected: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = tuple(expected)


class Kind(Enum):
    """What a command answers."""

    ROWS = "rows"  # any number of objects of one form
    OBJECT = "object"  # one object
    LINES = "lines"  # one object whose ``lines`` say what was done
    STREAM = "stream"  # events without end; each object has an ``id`` that rises

    @property
    def is_list(self) -> bool:
        """Whether there can be several objects."""
        return self in (Kind.ROWS, Kind.STREAM)


class Rights(Enum):
    """What a client must be allowed to do."""

    NONE = 0
    READ = 1
    FULL = 2


class Argument(NamedTuple):
    """An argument of a command.

    Attributes:
        name: In snake case, as the keys of answers.
        type: ``str``, ``int``, ``bool``, or ``list`` for texts of which there may be several.
        help: What it means.
        choices: The texts that are allowed; empty allows any.
        is_required: The command cannot do without it.
        minimum: Of a number.
    """

    name: str
    type: type
    help: str
    choices: tuple[str, ...] = ()
    is_required: bool = False
    minimum: int | None = None


class Command(NamedTuple):
    """A command that clients can send.

    Attributes:
        name: What it does, in words with hyphens.
        method: ``GET`` reads, ``POST`` acts.
        path: Of the resource. An argument in braces is a part of it: ``/peers/{peer}``.
        help: One line for people.
        kind: What it answers.
        fields: Name of the form of its objects in ``bgpd.api.fields``.
        arguments: All that it takes. Those that are not in the path are in the query of a GET, and in
            the JSON body of a POST.
        rights: What a client needs; what needs full rights is logged.
        max_body: Octets of its body.
        unlogged: Arguments of which the log has only the length: they may hold passwords.
    """

    name: str
    method: str
    path: str
    help: str
    kind: Kind
    fields: str
    arguments: tuple[Argument, ...] = ()
    rights: Rights = Rights.READ
    max_body: int = MAX_BODY
    unlogged: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of all arguments."""
        return frozenset(each.name for each in self.arguments)

    @property
    def in_path(self) -> tuple[Argument, ...]:
        """The arguments that are parts of the path."""
        return tuple(each for each in self.arguments if f"{{{each.name}}}" in self.path)

    @property
    def beside_path(self) -> tuple[Argument, ...]:
        """The arguments in query or body."""
        return tuple(
            each for each in self.arguments if f"{{{each.name}}}" not in self.path
        )


def check(command: Command, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the arguments of a request, checked.

    Args:
        command: What they are for.
        given: From path, query and body together.

    Raises:
        ControlError: ``unknown-argument``, ``missing-argument`` or ``bad-argument``, with what
            was expected.
    """
    known = {each.name: each for each in command.arguments}
    for name, value in given.items():
        argument = known.get(name)
        if argument is None:
            raise ControlError(
                "unknown-argument",
                f"{command.name} has no argument {shown(name)}{near(name, known)}",
                sorted(known),
            )
        _check_value(command, argument, value)
    for argument in command.arguments:
        if argument.is_required and argument.name not in given:
            raise ControlError(
                "missing-argument",
                f"{command.name} needs {argument.name}: {argument.help}",
                [each.name for each in command.arguments if each.is_required],
            )
    return dict(given)


def parse_query(
    command: Command, pairs: Iterable[tuple[str, str]]
) -> dict[str, object]:
    """Return the arguments of a query, as the types that were declared.

    Args:
        command: What they are for.
        pairs: Names and texts, as sent.

    Raises:
        ControlError: ``bad-argument``: a text is not what was declared, or is there twice.
    """
    known = {each.name: each for each in command.arguments}
    found: dict[str, object] = {}
    for name, text in pairs:
        argument = known.get(name)
        if argument is not None and argument.type is list:
            texts = found.setdefault(name, [])
            if isinstance(texts, list):
                texts.append(text)
        elif name in found:
            raise ControlError(
                "bad-argument",
                f"argument {shown(name)} of {command.name} is there twice",
            )
        else:
            found[name] = text if argument is None else _parsed(command, argument, text)
    return found


def _parsed(command: Command, argument: Argument, text: str) -> object:
    """Return a query's text as the type of an argument."""
    if argument.type is bool:
        # "?best" alone is the claim itself.
        if (value := _BOOLEANS.get(text.lower())) is not None:
            return value
    elif argument.type is int:
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS:
            return int(text)
    else:
        return text
    raise _bad(command, argument, text)


_BOOLEANS: Final = {"true": True, "1": True, "": True, "false": False, "0": False}
_MAX_DIGITS: Final = 18  # what every reader of JSON takes whole
_MAX_NUMBER: Final = 10**_MAX_DIGITS
_TYPE_NAMES: Final = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list of texts",
}


def _check_value(command: Command, argument: Argument, value: object) -> None:
    if type(value) is not argument.type:
        raise _bad(command, argument, value)
    if isinstance(value, list):
        if not all(isinstance(each, str) and _is_sound(each) for each in value):
            raise _bad(command, argument, value)
    elif isinstance(value, str):
        if not _is_sound(value):
            raise _bad(command, argument, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        too_small = argument.minimum is not None and value < argument.minimum
        if too_small or abs(value) >= _MAX_NUMBER:
            raise _bad(command, argument, value)
    texts = value if isinstance(value, list) else [str(value)]
    for text in texts if argument.choices else ():
        if text not in argument.choices:
            raise ControlError(
                "bad-argument",
                f"{argument.name} of {command.name} cannot be {shown(text)}"
                f"{near(text, argument.choices)}",
                argument.choices,
            )


def _bad(command: Command, argument: Argument, value: object) -> ControlError:
    expected = _TYPE_NAMES[argument.type]
    if argument.minimum is not None:
        expected += f" from {argument.minimum} on"
    return ControlError(
        "bad-argument",
        f"invalid value for argument {argument.name} of {command.name}: {shown(value)}",
        (expected,),
    )


def near(word: str, known: Iterable[str]) -> str:
    """Return a question for the name that was probably meant; empty if there is none near."""
    import difflib  # noqa: PLC0415  # for errors alone

    found = difflib.get_close_matches(word[:_MAX_SHOWN], known, 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def shown(value: object) -> str:
    """Return what a client sent, short enough for a message."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _is_sound(text: str) -> bool:
    """Whether text can be written as UTF-8: JSON allows halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


STATUSES: Final[Mapping[str, int]] = {
    "bad-request": 400,
    "bad-argument": 400,
    "missing-argument": 400,
    "unknown-argument": 400,
    "no-token": 401,
    "wrong-token": 401,
    "read-only": 403,
    "forbidden-host": 403,
    "cross-site": 403,
    "unknown-path": 404,
    "no-such-peer": 404,
    "no-such-route": 404,
    "wrong-method": 405,
    "not-acceptable": 406,
    "slow-request": 408,
    "too-large": 413,
    "wrong-media-type": 415,
    "internal": 500,
    "too-many-clients": 503,
    "not-started": 503,
}
"""HTTP's status for each code; for all others the state of the daemon is in the way (409)."""
_CONFLICT: Final = 409


def status_of(code: str) -> int:
    """Return HTTP's status for the code of an error."""
    return STATUSES.get(code, _CONFLICT)


def problem(error: ControlError) -> Row:
    """Return an error as the object that clients get (RFC 9457)."""
    told: Row = {
        "status": status_of(error.code),
        "code": error.code,
        "message": error.message,
    }
    if error.expected:
        told["expected"] = list(error.expected)
    return told


def names_of(commands: Sequence[Command]) -> Mapping[str, Command]:
    """Return commands by name."""
    return {each.name: each for each in commands}
