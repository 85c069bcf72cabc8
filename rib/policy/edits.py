"""What a term's actions do to path attributes."""

from collections.abc import Collection, Iterable
from typing import TypeVar

from rib.as_path import prepend
from rib.attribute_codes import (
    AS_PATH,
    COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
)
from rib.attributes import (
    PathAttributes,
    encode_communities,
    encode_large_communities,
)
from rib.policy.spec import Actions

_T = TypeVar("_T")


def changed(attributes: PathAttributes, actions: Actions) -> PathAttributes:
    """Return ``attributes`` after ``actions``; the same object where nothing changes."""
    changes: dict[int, bytes | None] = {}
    if actions.local_pref is not None:
        changes[LOCAL_PREF] = actions.local_pref.to_bytes(4, "big")
    if actions.med is not None:
        changes[MULTI_EXIT_DISC] = actions.med.to_bytes(4, "big")
    elif actions.removes_med:
        changes[MULTI_EXIT_DISC] = None
    if actions.prepend:
        path = attributes.get(AS_PATH) or b""
        for asn in reversed(actions.prepend):
            path = prepend(path, asn)
        changes[AS_PATH] = path
    _change_communities(attributes, actions, changes)
    _change_large_communities(attributes, actions, changes)
    if not changes and actions.next_hop in (None, attributes.next_hop):
        return attributes
    result = attributes.with_changes(changes, next_hop=actions.next_hop)
    is_same = (
        result.octets == attributes.octets and result.next_hop == attributes.next_hop
    )
    return attributes if is_same else result


def _change_communities(
    attributes: PathAttributes, actions: Actions, changes: dict[int, bytes | None]
) -> None:
    replaced, removed = actions.set_communities, actions.remove_communities
    if replaced is None and not removed and not actions.add_communities:
        return
    base = attributes.communities if replaced is None else replaced
    kept = _merged(base, removed, actions.add_communities)
    changes[COMMUNITIES] = encode_communities(kept) or None


def _change_large_communities(
    attributes: PathAttributes, actions: Actions, changes: dict[int, bytes | None]
) -> None:
    replaced, removed = actions.set_large_communities, actions.remove_large_communities
    if replaced is None and not removed and not actions.add_large_communities:
        return
    base = attributes.large_communities if replaced is None else replaced
    kept = _merged(base, removed, actions.add_large_communities)
    changes[LARGE_COMMUNITIES] = encode_large_communities(kept) or None


def _merged(
    base: Iterable[_T], removed: Collection[_T], added: Iterable[_T]
) -> list[_T]:
    kept = dict.fromkeys(item for item in base if item not in removed)
    kept.update(dict.fromkeys(added))
    return list(kept)
