"""Which addresses lie in changed prefixes."""

from hypothesis import given
from hypothesis import strategies as st

from fib.interest import Interest
from rib.nlri import make_nlri

ADDRESSES = st.sampled_from(
    [bytes((10, a, b, c)) for a in (0, 1) for b in (0, 128) for c in (1, 9)]
)
PREFIXES = st.builds(make_nlri, ADDRESSES, st.integers(0, 32))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ADDRESSES),
        st.tuples(st.just("remove"), ADDRESSES),
        st.tuples(st.just("ask"), st.lists(PREFIXES, max_size=4)),
    ),
    max_size=30,
)


def longest(address: bytes, nlris: list[bytes]) -> int | None:
    inside = [n[0] for n in nlris if make_nlri(address, n[0]) == n]
    return max(inside, default=None)


@given(STEPS)
def test_it_finds_what_a_comparison_of_every_pair_finds(steps) -> None:
    interest = Interest()
    counts: dict[bytes, int] = {}
    met: set[int] = set()
    for verb, what in steps:
        if verb == "add":
            interest.add(what)
            counts[what] = counts.get(what, 0) + 1
        elif verb == "remove" and counts.get(what):
            interest.remove(what)
            counts[what] -= 1
        elif verb == "ask":
            watched = [address for address, count in counts.items() if count]
            expected = {
                address: bits
                for address in watched
                if (bits := longest(address, what)) is not None
            }
            assert interest.touched(what) == expected
            met.update(nlri[0] for nlri in what)
        assert interest.lengths == met
        assert len(interest) == sum(1 for count in counts.values() if count)


def test_addresses_that_are_no_longer_watched_leave_nothing_behind() -> None:
    interest = Interest()
    interest.touched([make_nlri(bytes(4), bits) for bits in range(33)])
    for n in range(100):
        interest.add(bytes((10, 0, 0, n)))
    for n in range(100):
        interest.remove(bytes((10, 0, 0, n)))
    assert not interest._inside
    assert not interest._counts
