"""Usual routes of internal peers, advertised without computing what each looks like.

The bulk of a reflector's work: such a route goes out as its own attribute block with a tail
that is its source's, or with a splice where another reflector put CLUSTER_LIST (RFC 4456 8);
and neighbours in a batch mostly have the same source.
"""

from collections.abc import Callable, Container, Iterable, Sequence

from reflector.flush import Batch
from reflector.rewrite import Reflection, splice
from rib.change import Change
from rib.path import Path, Source
from rib.path_set import best_of


# hot: per change
def put_reflected(
    batch: Batch,
    changes: Iterable[Change],
    members: Container[Source],
    reflection_of: Callable[[Source], Reflection | None],
) -> Sequence[Change]:
    """Add changes to usual paths of internal peers to a batch; return all others.

    Args:
        batch: To be encoded.
        changes: From what members know to what they are to know.
        members: Of the group.
        reflection_of: What is added to a source's routes; ``None`` if none goes out.
    """
    left: list[Change] = []
    last: Source | None = None
    reflection: Reflection | None = None
    is_member = False
    by_tail: dict[bytes, dict[bytes, Sequence[bytes]]] = {}
    by_block: dict[bytes, Sequence[bytes]] = {}  # of the source's tail
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
            reflection = reflection_of(source)
            if reflection is not None:
                by_tail = batch.reflected.setdefault(source if is_member else None, {})
                by_block = by_tail.setdefault(reflection.tail, {})
        attributes = has.attributes
        if reflection is None or not (attributes.is_plain or attributes.is_spliced):
            left.append(change)
            continue
        if had is not None:
            held = had.attributes
            if not (held.is_plain or held.is_spliced):
                left.append(change)
                continue
            if (holder := had.source) is source:
                if held.octets == attributes.octets:
                    continue
            elif is_member and reflection_of(holder) is not None:
                # The member's own route took over: it alone must forget what it held.
                batch.withdraw_from(source, nlris)
            elif (
                is_member
                # Routes of other kinds go out in forms that their blocks do not show.
                or holder.kind is not source.kind
                or (held.octets == attributes.octets and holder not in members)
            ):
                left.append(change)
                continue
        block, told = attributes.octets, by_block
        if not attributes.is_plain:
            block = splice(attributes, reflection)  # type: ignore[arg-type]  # by its flag
            told = by_tail.setdefault(b"", {})
        if block in told:
            batch.reflect_more(told, block, nlris)
        else:
            told[block] = nlris  # mostly all there is for it: not copied
    return left
