"""What a term's actions do to path attributes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from rib.attributes import (
    PathAttributes,
    encode_communities,
    encode_ext_communities,
    encode_large_communities,
)
from rib.attributes.as_path import prepend
from rib.attributes.codes import (
    AS_PATH,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    ORIGIN,
)
from rib.attributes.community_patterns import (
    EXTENDED,
    LARGE,
    STANDARD,
    CommunitySet,
    Kind,
)
from rib.policy.spec import Actions, NextHopRule

_ENCODED: Final[Mapping[Kind, tuple[int, Callable[[Any], bytes]]]] = MappingProxyType(
    {
        STANDARD: (COMMUNITIES, encode_communities),
        LARGE: (LARGE_COMMUNITIES, encode_large_communities),
        EXTENDED: (EXTENDED_COMMUNITIES, encode_ext_communities),
    }
)


class Edits:
    """A term's actions on path attributes, prepared.

    Args:
        actions: What the term says.
    """

    def __init__(self, actions: Actions) -> None:
        self._prepended = tuple(reversed(actions.prepend))
        next_hop = actions.next_hop
        self._next_hop = None if isinstance(next_hop, NextHopRule) else next_hop
        fixed: dict[int, bytes | None] = {}
        if actions.origin is not None:
            fixed[ORIGIN] = bytes((actions.origin,))
        if actions.local_pref is not None:
            fixed[LOCAL_PREF] = actions.local_pref.to_bytes(4, "big")
        if actions.med is not None:
            fixed[MULTI_EXIT_DISC] = actions.med.to_bytes(4, "big")
        elif actions.removes_med:
            fixed[MULTI_EXIT_DISC] = None
        self._fixed = fixed
        self._communities = tuple(
            _CommunityEdit(actions, kind)
            for kind in _ENCODED
            if _touches(actions, kind.field)
        )

    def __call__(self, attributes: PathAttributes) -> PathAttributes:
        """Return ``attributes`` after the actions; the same object where nothing changes."""
        changes = dict(self._fixed)
        if self._prepended:
            path = attributes.get(AS_PATH) or b""
            for asn in self._prepended:
                path = prepend(path, asn)
            changes[AS_PATH] = path
        for edit in self._communities:
            changes[edit.code] = edit(attributes)
        if not changes and self._next_hop in (None, attributes.next_hop):
            return attributes
        result = attributes.with_changes(changes, next_hop=self._next_hop)
        is_same = (
            result.octets == attributes.octets
            and result.next_hop == attributes.next_hop
        )
        return attributes if is_same else result


def _touches(actions: Actions, field: str) -> bool:
    return getattr(actions, f"set_{field}") is not None or any(
        getattr(actions, f"{verb}_{field}") for verb in ("remove", "add")
    )


class _CommunityEdit:
    """What happens to communities of one kind: set, then removed, then added."""

    def __init__(self, actions: Actions, kind: Kind) -> None:
        self.code, self._encode = _ENCODED[kind]
        self._field = kind.field
        self._set = getattr(actions, f"set_{kind.field}")
        self._removed = CommunitySet(getattr(actions, f"remove_{kind.field}"), kind)
        self._added = getattr(actions, f"add_{kind.field}")

    def __call__(self, attributes: PathAttributes) -> bytes | None:
        base = getattr(attributes, self._field) if self._set is None else self._set
        kept = dict.fromkeys(item for item in base if item not in self._removed)
        kept.update(dict.fromkeys(self._added))
        return self._encode(kept) or None
