"""Plain routes of internal peers, advertised without computing each outgoing form.

The bulk of a reflector's work: such a route goes out as its own attribute block with a tail
that is its source's (RFC 4456 8), and neighbours in a batch mostly have the same source.
"""

from collections.abc import Callable, Container, Iterable, Sequence

from reflector.flush import Batch
from rib.change import Change
from rib.path import Path, Source
from rib.path_set import best_of


# hot: per change
def put_reflected(
    batch: Batch,
    changes: Iterable[Change],
    members: Container[Source],
    tail_of: Callable[[Source], bytes],
) -> Sequence[Change]:
    """Add changes to plain paths of internal peers to a batch; return all others.

    Args:
        batch: To be encoded.
        changes: From what members know to what they are to know.
        members: Of the group.
        tail_of: What is appended to a source's routes; empty if none goes out.
    """
    left: list[Change] = []
    last: Source | None = None
    tail, is_member = b"", False
    by_block: dict[bytes, Sequence[bytes]] = {}
    for change in changes:
        old, new, nlris = change
        has = new if type(new) is Path else best_of(new)
        had = old if type(old) is Path else best_of(old)
        if had is has:
            continue
        if has is None:
            left.append(change)
            continue
        source = has.source
        if source is not last:
            last, is_member = source, source in members
            tail = tail_of(source)
            if tail:
                by_tail = batch.reflected.setdefault(source if is_member else None, {})
                by_block = by_tail.setdefault(tail, {})
        attributes = has.attributes
        octets = attributes.octets
        if not (tail and attributes.is_plain):
            left.append(change)
            continue
        if had is not None:
            if not had.attributes.is_plain:
                left.append(change)
                continue
            holder = had.source
            if holder is source:
                if had.attributes.octets == octets:
                    continue
            elif is_member and tail_of(holder):
                # The member's own route took over: it alone must forget what it held.
                batch.withdraw_from(source, nlris)
            else:
                left.append(change)
                continue
        if octets in by_block:
            batch.reflect_more(by_block, octets, nlris)
        else:
            by_block[octets] = nlris  # mostly all there is for it: not copied
    return left
