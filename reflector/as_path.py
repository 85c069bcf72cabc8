"""AS_PATH as advertised to eBGP peers (RFC 4271 5.1.2 b), and what may be hidden from them."""

from dataclasses import dataclass
from typing import Final

from rib.attributes import (
    AsPath,
    PrivateScope,
    hide_private,
    prepend,
    replace_as,
    split_leading,
)


@dataclass(frozen=True, slots=True)
class PathRules:
    """What happens to AS_PATH apart from prepending our AS.

    Attributes:
        hidden_as: Our AS number elsewhere, put before the path first, under the one of the
            session; 0 for none.
        peer_as: The peers' AS; 0 if none of the options below is set, so that peers of
            different ASes can share a group.
        overrides_peer_as: Our AS stands in for theirs, wherever that is in the path.
        private: Which private AS numbers are hidden.
        replaces_private: Our AS stands in for those that are.
    """

    hidden_as: int = 0
    peer_as: int = 0
    overrides_peer_as: bool = False
    private: PrivateScope = PrivateScope.NONE
    replaces_private: bool = False


PLAIN_PATH: Final = PathRules()


def outgoing_path(
    value: bytes, local_as: int, rules: PathRules, prepended: int
) -> bytes:
    """Return AS_PATH as advertised to a peer in another AS.

    Args:
        value: After export policy.
        local_as: Our AS on the session.
        rules: What else is done.
        prepended: So many AS numbers at the beginning are export policy's: what it sets is
            sent.
    """
    if rules is PLAIN_PATH or rules == PLAIN_PATH:
        return prepend(value, local_as)
    ours, path = split_leading(value, prepended) if prepended else (b"", value)
    if rules.private is not PrivateScope.NONE:
        path = hide_private(
            path,
            rules.private,
            kept=rules.peer_as,
            stand_in=local_as if rules.replaces_private else None,
        )
    if rules.overrides_peer_as:
        path = replace_as(path, rules.peer_as, local_as)
    for asn in reversed(AsPath(ours).asns):
        path = prepend(path, asn)
    if rules.hidden_as:
        path = prepend(path, rules.hidden_as)
    return prepend(path, local_as)
