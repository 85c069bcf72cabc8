"""BFD in the configuration file. Pure."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bgpd.config.base import Section
from bgpd.config.fields import Milliseconds, Switch
from bgpd.session.settings import BfdSettings

_SECRET_LEN = {"simple": 16, "keyed-sha1": 20, "meticulous-keyed-sha1": 20}  # octets


class BfdAuth(Section):
    """Authentication of BFD packets (RFC 5880 6.7)."""

    type: Annotated[
        Literal["simple", "keyed-sha1", "meticulous-keyed-sha1"],
        Field(
            description="`simple` sends the password; the others sign, `meticulous-keyed-sha1` "
            "each packet with a number of its own"
        ),
    ] = "keyed-sha1"
    key_id: Annotated[
        int, Field(ge=0, le=255, description="key ID; the peer needs the same")
    ] = 1
    password: Annotated[
        str | None,
        Field(
            repr=False,
            description="password of 1 to 16 octets, or SHA1 key of 1 to 20",
        ),
    ] = None
    password_file: Annotated[
        str | None, Field(description="file whose first line is the password")
    ] = None


class Bfd(Section):
    """BFD with the peer (RFC 5880); a session that fails ends the BGP session at once."""

    enabled: Annotated[
        Switch, Field(description="`bfd: on` and `bfd: off` are short for this")
    ] = True
    min_tx: Annotated[
        Milliseconds,
        Field(description="interval at which to send, unless the peer asks for less"),
    ] = 300
    min_rx: Annotated[
        Milliseconds, Field(description="shortest interval at which to receive")
    ] = 300
    multiplier: Annotated[
        int,
        Field(
            ge=1,
            le=255,
            description="number of lost packets after which the peer takes the path as broken",
        ),
    ] = 3
    multihop: Annotated[
        Switch | None,
        Field(
            description="use multihop BFD (RFC 5883, UDP port 4784) instead of one hop (RFC 5881, "
            "port 3784, TTL 255); by default only if `multihop_ttl` or "
            "`ttl_security_hops` is above 1"
        ),
    ] = None
    strict: Annotated[
        Switch,
        Field(
            description="wait for BFD before the BGP session starts; not for dynamic neighbours"
        ),
    ] = False
    auth: Annotated[
        BfdAuth | None, Field(description="authentication; none by default")
    ] = None


def _switched(value: object) -> object:
    return {"enabled": value} if isinstance(value, bool | str) else value


BfdItem = Annotated[Bfd, BeforeValidator(_switched)]


def bfd_settings(bfd: Bfd | None, secrets: Mapping[str, str]) -> BfdSettings | None:
    """Return what a session does; ``None`` without BFD.

    Args:
        bfd: As written; ``None`` if it was not.
        secrets: The password in each ``password_file``, by its name as written.
    """
    if bfd is None or not bfd.enabled:
        return None
    auth = bfd.auth
    secret = ""
    if auth is not None:
        file = auth.password_file
        secret = (auth.password or "") if file is None else secrets[file]
    return BfdSettings(
        min_tx=bfd.min_tx,
        min_rx=bfd.min_rx,
        multiplier=bfd.multiplier,
        is_multihop=bfd.multihop,
        is_strict=bfd.strict,
        auth_type="" if auth is None else auth.type,
        auth_key_id=1 if auth is None else auth.key_id,
        auth_secret=secret,
    )


def max_secret_len(auth: BfdAuth) -> int:
    """Return how many octets a password may have."""
    return _SECRET_LEN[auth.type]


def auth_problem(auth: BfdAuth) -> tuple[str, str] | None:
    """Return the key that contradicts others, and why."""
    if auth.password is not None and auth.password_file is not None:
        return "password_file", "cannot be combined with password"
    if auth.password is None and auth.password_file is None:
        return "password", "is required: the password that the peer has, too"
    most = max_secret_len(auth)
    if auth.password is not None and not 1 <= len(auth.password.encode()) <= most:
        return "password", f"expected 1 to {most} octets for {auth.type} (RFC 5880)"
    return None
