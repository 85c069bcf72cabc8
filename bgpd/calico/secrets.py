"""Passwords of sessions, out of Kubernetes' Secrets. Never shown, never logged."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any, Final

from bgpd.calico.warnings import ObjectWarning

MAX_PASSWORD: Final = 80  # octets, TCP_MD5SIG_MAXKEYLEN of linux/tcp.h


class SecretTable:
    """Secrets of one namespace, as passwords by name and key."""

    def __init__(self) -> None:
        self._passwords: dict[str, dict[str, str]] = {}
        self._warnings: dict[str, tuple[ObjectWarning, ...]] = {}

    @property
    def passwords(self) -> Mapping[tuple[str, str], str]:
        """Every password by name of the Secret and key."""
        return {
            (name, key): password
            for name, entries in self._passwords.items()
            for key, password in entries.items()
        }

    @property
    def warnings(self) -> tuple[ObjectWarning, ...]:
        """What is wrong with Secrets."""
        return tuple(item for some in self._warnings.values() for item in some)

    def of(self, name: str) -> Mapping[str, str]:
        """Return the passwords of one Secret by key, a copy."""
        return dict(self._passwords.get(name, {}))

    def put(self, name: str, content: Mapping[str, Any]) -> None:
        """Take a new or changed Secret; entries that cannot be passwords are left out."""
        found: dict[str, str] = {}
        warnings: list[ObjectWarning] = []
        for field in ("data", "stringData"):
            entries = content.get(field) or {}
            if not isinstance(entries, Mapping):
                warnings.append(_warning(name, field, "is not an object"))
                continue
            for key, value in entries.items():
                try:
                    found[str(key)] = _password(value, is_encoded=field == "data")
                except ValueError as error:
                    warnings.append(_warning(name, f"{field}.{key}", str(error)))
        self._passwords[name] = found
        self._warnings[name] = tuple(warnings)

    def keep(self, name: str, key: str, password: str) -> None:
        """Hold a password that its Secret no longer has."""
        self._passwords.setdefault(name, {})[key] = password

    def drop(self, name: str) -> None:
        """A Secret is gone, and its passwords with it."""
        self._passwords.pop(name, None)
        self._warnings.pop(name, None)

    def drop_key(self, name: str, key: str) -> None:
        """A password is gone that was kept."""
        self._passwords.get(name, {}).pop(key, None)


def _password(value: object, *, is_encoded: bool) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")  # noqa: TRY004  # the caller turns it into a finding
    try:
        octets = b64decode(value, validate=True) if is_encoded else value.encode()
        text = octets.decode()
    except (Base64Error, UnicodeError) as error:
        raise ValueError("is not base64") from error
    if not 0 < len(octets) <= MAX_PASSWORD:
        raise ValueError(
            f"has {len(octets)} octets; a password has 1 to {MAX_PASSWORD}"
        )
    return text


def _warning(name: str, field: str, text: str) -> ObjectWarning:
    return ObjectWarning(f"Secret {name}", field, f"{text}; ignored")
