"""What options take: addresses, prefixes, AS numbers, durations; errors in the words of the file's.

No model of the configuration is loaded for them: a reflector started from the command line has none.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import click

from rib.nlri import format_address, format_prefix, parse_address, parse_prefix

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_AS_NUMBER: Final = re.compile(r"(?:([0-9]{1,5})\.)?([0-9]{1,10})")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_DURATION: Final = re.compile(f"(?:{_DURATION_PART.pattern})+")


class _Checked(click.ParamType[str]):
    """A parameter checked by a function that raises ``ValueError``."""

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        self.name = name
        self._check = check

    def convert(
        self,
        value: Any,  # noqa: ANN401  # click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        try:
            return self._check(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _address(text: str) -> str:
    try:
        return format_address(parse_address(text))
    except ValueError:
        expected = "expected one such as 192.0.2.1 or 2001:db8::1"
        raise ValueError(f"{text!r} is not an IP address; {expected}") from None


def _identifier(text: str) -> str:
    try:
        octets = parse_address(text)
    except ValueError:
        octets = b""
    if len(octets) != 4 or not any(octets):
        raise ValueError(
            f"{text!r} is not a BGP identifier; expected four octets such as 192.0.2.1"
        )
    return format_address(octets)


def _prefix(text: str) -> str:
    address, _, _ = text.partition("/")
    try:
        octets = parse_address(address)
        afi, nlri = parse_prefix(text)
    except ValueError:
        expected = "expected one such as 10.0.0.0/16 or fd00::/64"
        raise ValueError(f"{text!r} is not a prefix; {expected}") from None
    canonical = format_prefix(nlri, afi)
    if canonical.partition("/")[0] != format_address(octets):
        raise ValueError(f"{text} has host bits set; did you mean {canonical}?")
    return canonical


def _as_number(text: str) -> str:
    found = _AS_NUMBER.fullmatch(text)
    high, low = (int(found[1] or 0), int(found[2])) if found else (0, 0)
    number = low + (high << 16)
    if not 0 < number < 1 << 32 or (high and low >> 16):
        expected = "expected 1 to 4294967295, or such as 1.10"
        raise ValueError(f"{text!r} is not an AS number; {expected}")
    return str(number)


def _socket_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not is_port or int(port) > 0xFFFF:
        expected = "expected one such as 127.0.0.1:9179 or [::1]:9179"
        raise ValueError(f"{text!r} is not ADDRESS:PORT; {expected}")
    if host in {"", "*"}:
        anywhere = f"0.0.0.0:{port} and [::]:{port} are any address"
        raise ValueError(f"{text!r} has no address before the port; {anywhere}")
    address = _address(host.strip("[]"))
    return f"[{address}]:{int(port)}" if ":" in address else f"{address}:{int(port)}"


class _Duration(click.ParamType[float]):
    """Seconds, written as Go does: ``30s``, ``1m30s``, ``500ms``."""

    name = "duration"

    def convert(
        self,
        value: Any,  # noqa: ANN401  # click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        if not _DURATION.fullmatch(value):
            self.fail(
                f"{value!r} is not a duration; expected a form such as 1m30s",
                param,
                ctx,
            )
        return sum(
            float(number) * _SECONDS[unit]
            for number, unit in _DURATION_PART.findall(value)
        )


DURATION: Final = _Duration()
PORT: Final = click.IntRange(1, 65535)
ADDRESS: Final = _Checked("address", _address)
IDENTIFIER: Final = _Checked("identifier", _identifier)
SOCKET_ADDRESS: Final = _Checked("address:port", _socket_address)
PREFIX: Final = _Checked("prefix", _prefix)
AS_NUMBER: Final = _Checked("as", _as_number)
