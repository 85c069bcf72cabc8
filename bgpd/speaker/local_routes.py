"""Our own routes, without those that are not unicast destinations.

The file, a cluster's objects and the kernel may all name such a prefix. It is announced to
no peer and delays nothing else, and it is back as soon as it is allowed.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bgpd.runtime.log_fields import Names
from bgpd.runtime.log_setup import alike
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.shared_import_checks import SharedImportChecks
from rib.attributes import PathAttributes
from rib.destinations import NotUnicast, divide
from rib.family import IPV4_UNICAST, Family
from rib.nlri import Nlri, format_prefix
from rib.path import LOCAL_WEIGHT, NextHop, Path, Source, SourceKind
from rib.path_set import members_of

_OWN: Final = frozenset({SourceKind.LOCAL, SourceKind.KERNEL})
_SHOWN: Final = 3  # prefixes by name in a line

_ONE: Final = "not originated (%(source)s): %(prefixes)s is not unicast: %(reason)s"
_SEVERAL: Final = (
    "not originated (%(source)s): %(prefixes)s are not unicast: %(reason)s"
)

_log = logging.getLogger(__name__)


_Key = tuple[Source, Family, Nlri]


class _Announcement(NamedTuple):
    """How a prefix would be originated."""

    attributes: PathAttributes
    next_hop: NextHop | None
    weight: int | None


class LocalRoutes:
    """Originates and withdraws a speaker's own routes.

    Args:
        context: Whose routes they are.
        shared: Reviews what peers sent where other prefixes are allowed from now on.

    Attributes:
        source: This speaker as the source of routes that have no other.
    """

    def __init__(self, context: SpeakerContext, shared: SharedImportChecks) -> None:
        self.source = Source("local", SourceKind.LOCAL, weight=LOCAL_WEIGHT)
        self._context = context
        self._shared = shared
        self._kept: dict[_Key, tuple[NotUnicast, _Announcement]] = {}

    def originate(
        self,
        family: Family,
        nlris: Iterable[Nlri],
        attributes: PathAttributes,
        source: Source | None = None,
        next_hop: NextHop | None = None,
        *,
        weight: int | None = None,
    ) -> None:
        """Originate prefixes, or change their attributes.

        Args:
            family: Of the prefixes.
            nlris: The prefixes.
            attributes: As peers see them before export policy.
            source: Whose they are; this speaker's own by default.
            next_hop: The way out where that is known for certain, as of routes that
                stand in the kernel already; else the address is looked up.
            weight: In place of the source's.
        """
        source = source or self.source
        good = self._sift(family, nlris, attributes, source, next_hop, weight=weight)
        if not good:
            return
        source.heard_at = self._context.loop.time()
        path = Path(
            source,
            attributes,
            next_hop or self._context.next_hops.get(attributes.next_hop),
            weight=weight,
        )
        tables = self._context.tables[family]
        tables.changed(tables.loc_rib.announce(good, path))

    def withdraw(
        self, family: Family, nlris: Iterable[Nlri], source: Source | None = None
    ) -> None:
        """Withdraw our own prefixes."""
        gone, tables = list(nlris), self._context.tables[family]
        source = source or self.source
        self._forget(source, family, gone)
        tables.changed(tables.loc_rib.withdraw(gone, source))

    def _sift(
        self,
        family: Family,
        nlris: Iterable[Nlri],
        attributes: PathAttributes,
        source: Source,
        next_hop: NextHop | None,
        *,
        weight: int | None,
    ) -> list[Nlri]:
        """Return what may be originated; keep the rest, with its attributes."""
        allowed = self._context.allows_reserved
        good, others = divide(nlris, family.afi, allows_reserved=allowed)
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
            _log.warning(
                _ONE if len(new) == 1 else _SEVERAL,
                {
                    "event": "not-originated",
                    "source": source.name,
                    "prefixes": _shown(family, new),
                    "family": family,
                    "reason": why.value,
                    "count": len(new),
                },
                extra=alike("source", "reason"),
            )

    def _forget(self, source: Source, family: Family, nlris: Iterable[Nlri]) -> None:
        """Forget prefixes that a source no longer originates."""
        if self._kept:
            for nlri in nlris:
                self._kept.pop((source, family, nlri), None)

    def allow_reserved(self, *, is_allowed: bool) -> None:
        """Allow or forbid 240.0.0.0/4 as unicast; all routes there follow, live."""
        if is_allowed == self._context.allows_reserved:
            return
        self._context.allows_reserved = is_allowed
        if is_allowed:
            self._announce_kept()
        else:
            self._withdraw_reserved()
        self._shared.may_have_changed()

    def _announce_kept(self) -> None:
        for (source, family, nlri), (why, told) in [*self._kept.items()]:
            if why is not NotUnicast.RESERVED:
                continue
            del self._kept[source, family, nlri]
            attributes, next_hop, weight = told
            self.originate(family, [nlri], attributes, source, next_hop, weight=weight)

    def _withdraw_reserved(self) -> None:
        table = self._context.tables[IPV4_UNICAST].loc_rib.table
        for why, nlris in divide([*table], IPV4_UNICAST.afi)[1].items():
            for nlri in nlris:
                for path in members_of(table.get(nlri)):
                    source = path.source
                    if source.kind in _OWN:
                        self.withdraw(IPV4_UNICAST, [nlri], source)
                        told = _Announcement(
                            path.attributes, path.next_hop, path.weight
                        )
                        self._keep(source, IPV4_UNICAST, [nlri], why, told)

    def warnings(self) -> list[str]:
        """Return a warning for each kind of prefix that is not originated."""
        kinds: dict[tuple[str, Family, NotUnicast], list[Nlri]] = {}
        for (source, family, nlri), (why, _) in self._kept.items():
            kinds.setdefault((source.name, family, why), []).append(nlri)
        return [_line(*kind, nlris) for kind, nlris in kinds.items()]


def _line(source: str, family: Family, why: NotUnicast, nlris: Sequence[Nlri]) -> str:
    shown = _shown(family, nlris)
    text = _ONE if len(nlris) == 1 else _SEVERAL
    return text % {"source": source, "prefixes": shown, "reason": why.value}


def _shown(family: Family, nlris: Sequence[Nlri]) -> Names:
    shown = (format_prefix(nlri, family.afi) for nlri in nlris[:_SHOWN])
    return Names(tuple(shown), more=len(nlris) - _SHOWN)
