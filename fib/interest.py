"""Which of some addresses lie in prefixes that changed. Pure.

Asked with every batch of changed prefixes, of which hardly one concerns an address that
anybody watches: some 65 ns for each prefix, whatever the number of addresses.
"""

from collections import Counter
from collections.abc import Collection
from operator import itemgetter
from typing import Final

from rib.nlri import Nlri, make_nlri

_length_of: Final = itemgetter(0)


class Interest:
    """Addresses of one family, indexed by the prefixes of every known length they lie in.

    Attributes:
        lengths: Every prefix length met so far, in bits.
    """

    def __init__(self) -> None:
        self.lengths: set[int] = set()
        self._counts: Counter[bytes] = Counter()
        # One address, as most prefixes have, or the set of several.
        self._inside: dict[Nlri, bytes | set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, address: bytes) -> None:
        """Take an interest in an address, once more if there is one already."""
        self._counts[address] += 1
        if self._counts[address] == 1:
            self._index((address,), self.lengths)

    def remove(self, address: bytes) -> None:
        """Undo one ``add``."""
        self._counts[address] -= 1
        if self._counts[address] > 0:
            return
        del self._counts[address]
        for length_bits in self.lengths:
            nlri = make_nlri(address, length_bits)
            inside = self._inside[nlri]
            if isinstance(inside, set) and len(inside) > 1:
                inside.discard(address)
            else:
                del self._inside[nlri]

    def _index(self, addresses: Collection[bytes], lengths: Collection[int]) -> None:
        for length_bits in lengths:
            for address in addresses:
                nlri = make_nlri(address, length_bits)
                known = self._inside.setdefault(nlri, address)
                if isinstance(known, set):
                    known.add(address)
                elif known != address:
                    self._inside[nlri] = {known, address}

    # hot: per batch
    def touched(self, nlris: Collection[Nlri]) -> dict[bytes, int]:
        """Return the addresses inside some prefixes, each with the longest such length."""
        new = {*map(_length_of, nlris)} - self.lengths
        if new:
            self.lengths |= new
            self._index(self._counts, new)
        inside = self._inside
        if inside.keys().isdisjoint(nlris):
            return {}
        found: dict[bytes, int] = {}
        for nlri in sorted(inside.keys() & {*nlris}, key=_length_of):
            some = inside[nlri]
            addresses = some if isinstance(some, set) else (some,)
            found.update(dict.fromkeys(addresses, nlri[0]))
        return found
