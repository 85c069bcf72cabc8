"""What we would announce ourselves and is no unicast destination: kept out, and said so.

The file, a cluster's objects and the kernel may all name such a prefix. It is announced to
nobody, nothing else is held up by it, and it is back as soon as it is allowed.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bgpd.runtime.log_setup import alike
from rib.attributes import PathAttributes
from rib.destinations import NotUnicast, divide
from rib.family import IPV4_UNICAST, Family
from rib.nlri import Nlri, format_prefix
from rib.path import NextHop, Source, SourceKind
from rib.path_set import members_of

if TYPE_CHECKING:
    from bgpd.speaker.speaker import Speaker

_OWN: Final = frozenset({SourceKind.LOCAL, SourceKind.KERNEL})
_SHOWN: Final = 3  # prefixes by name in a line

_log = logging.getLogger(__name__)


_Key = tuple[Source, Family, Nlri]


class _Announcement(NamedTuple):
    """How a prefix would be announced."""

    attributes: PathAttributes
    next_hop: NextHop | None
    weight: int | None


class Destinations:
    """Which prefixes a speaker may announce, and those that it keeps out.

    Args:
        speaker: Whose routes they are.

    Attributes:
        allows_reserved: 240.0.0.0/4 is used as unicast here; see ``allow_reserved``.
    """

    def __init__(self, speaker: "Speaker") -> None:
        self.allows_reserved = False
        self._speaker = speaker
        self._kept: dict[_Key, tuple[NotUnicast, _Announcement]] = {}

    def sift(
        self,
        family: Family,
        nlris: Iterable[Nlri],
        attributes: PathAttributes,
        source: Source,
        next_hop: NextHop | None,
        *,
        weight: int | None,
    ) -> list[Nlri]:
        """Return what may be announced; the rest is kept, with how it would be."""
        good, others = divide(nlris, family.afi, allows_reserved=self.allows_reserved)
        for why, members in others.items():
            told = _Announcement(attributes, next_hop, weight)
            self._keep(source, family, members, why, told)
        return good

    def _keep(
        self,
        source: Source,
        family: Family,
        nlris: Sequence[Nlri],
        why: NotUnicast,
        told: _Announcement,
    ) -> None:
        new = [nlri for nlri in nlris if (source, family, nlri) not in self._kept]
        self._kept.update({(source, family, nlri): (why, told) for nlri in nlris})
        if new:
            line = _line(source.name, family, why, new)
            extra = alike(source.name, why.value)
            _log.warning("%s", line, extra=extra)

    def forget(self, source: Source, family: Family, nlris: Iterable[Nlri]) -> None:
        """Prefixes of a source are not to be announced any more."""
        if self._kept:
            for nlri in nlris:
                self._kept.pop((source, family, nlri), None)

    def allow_reserved(self, *, is_allowed: bool) -> None:
        """Use 240.0.0.0/4 as unicast, or no longer; all routes there follow, live."""
        if is_allowed == self.allows_reserved:
            return
        self.allows_reserved = is_allowed
        if is_allowed:
            self._announce_kept()
        else:
            self._withdraw_reserved()
        self._speaker.shared.may_have_changed()

    def _announce_kept(self) -> None:
        for (source, family, nlri), (why, told) in [*self._kept.items()]:
            if why is not NotUnicast.RESERVED:
                continue
            del self._kept[source, family, nlri]
            attributes, next_hop, weight = told
            self._speaker.originate(
                family, [nlri], attributes, source, next_hop, weight=weight
            )

    def _withdraw_reserved(self) -> None:
        table = self._speaker.tables[IPV4_UNICAST].loc_rib.table
        for why, nlris in divide([*table], IPV4_UNICAST.afi)[1].items():
            for nlri in nlris:
                for path in members_of(table.get(nlri)):
                    source = path.source
                    if source.kind in _OWN:
                        self._speaker.withdraw(IPV4_UNICAST, [nlri], source)
                        told = _Announcement(
                            path.attributes, path.next_hop, path.weight
                        )
                        self._keep(source, IPV4_UNICAST, [nlri], why, told)

    def warnings(self) -> list[str]:
        """Return a line for each kind of prefix that is kept out."""
        kinds: dict[tuple[str, Family, NotUnicast], list[Nlri]] = {}
        for (source, family, nlri), (why, _) in self._kept.items():
            kinds.setdefault((source.name, family, why), []).append(nlri)
        return [_line(*kind, nlris) for kind, nlris in kinds.items()]


def _line(source: str, family: Family, why: NotUnicast, nlris: Sequence[Nlri]) -> str:
    shown = ", ".join(format_prefix(nlri, family.afi) for nlri in nlris[:_SHOWN])
    more = len(nlris) - _SHOWN
    if more > 0:
        shown += f" and {more} more"
    verb = "is" if len(nlris) == 1 else "are"
    return (
        f"not advertised ({source}): {shown} {verb} no unicast destination: {why.value}"
    )
