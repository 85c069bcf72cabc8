import pytest
from hypothesis import given
from hypothesis import strategies as st

from rib.destinations import MixedRun, NotUnicast, divide, why_not_unicast
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import make_nlri, parse_prefix, split, split_add_path, split_tail
from tests.support.cases import cases

MULTICAST, LOOPBACK = NotUnicast.MULTICAST, NotUnicast.LOOPBACK
RESERVED, LINK_LOCAL = NotUnicast.RESERVED, NotUnicast.LINK_LOCAL
WHY = {
    "0.0.0.0/8": NotUnicast.THIS_NETWORK,
    "0.1.2.0/24": NotUnicast.THIS_NETWORK,
    "0.0.0.0/32": NotUnicast.THIS_NETWORK,
    "127.0.0.0/8": LOOPBACK,
    "127.0.0.1/32": LOOPBACK,
    "224.0.0.0/3": MULTICAST,
    "224.0.0.0/4": MULTICAST,
    "224.0.0.5/32": MULTICAST,
    "239.255.255.0/24": MULTICAST,
    "240.0.0.0/4": RESERVED,
    "250.1.0.0/16": RESERVED,
    "255.255.255.254/32": RESERVED,
    "255.255.255.255/32": NotUnicast.BROADCAST,
    "::/8": NotUnicast.UNSPECIFIED,
    "::/64": NotUnicast.UNSPECIFIED,
    "::/128": NotUnicast.UNSPECIFIED,
    "::1/128": LOOPBACK,
    "::2/128": NotUnicast.IPV4_COMPATIBLE,
    "::10.0.0.0/104": NotUnicast.IPV4_COMPATIBLE,
    "::ffff:0:0/96": NotUnicast.IPV4_MAPPED,
    "::ffff:10.0.0.1/128": NotUnicast.IPV4_MAPPED,
    "fe80::/10": LINK_LOCAL,
    "fe80::/64": LINK_LOCAL,
    "febf::1/128": LINK_LOCAL,
    "ff00::/8": MULTICAST,
    "ff02::1/128": MULTICAST,
    "ff3e::/16": MULTICAST,
}
UNICAST = (
    "0.0.0.0/0",
    "0.0.0.0/1",
    "0.0.0.0/7",
    "1.0.0.0/8",
    "10.0.0.0/8",
    "126.0.0.0/7",
    "126.255.255.255/32",
    "128.0.0.0/1",
    "128.0.0.0/32",
    "169.254.0.0/16",  # clouds number the links to their gateways from it
    "192.0.0.0/2",
    "223.255.255.255/32",
    "::/0",
    "::/1",
    "::/3",
    "64:ff9b::/96",  # RFC 6052
    "64:ff9b:1::/48",  # RFC 8215
    "100::/64",  # RFC 6666: discard
    "::1:0:0:0:0/64",
    "2000::/3",
    "2001:db8::/32",
    "fc00::/7",
    "fd00::1/128",
    "fe00::/7",
    "fe00::/8",
    "fe00::/9",
    "fec0::/10",
)


def of(text: str) -> tuple[int, bytes]:
    return parse_prefix(text)


@pytest.mark.rfc("4271", "6.3", "SHOULD")
@cases("text", WHY)
def test_prefixes_that_are_not_unicast_destinations(text: str) -> None:
    afi, nlri = of(text)
    assert why_not_unicast(nlri, afi) is WHY[text]


@cases("text", UNICAST)
def test_what_is_a_unicast_destination(text: str) -> None:
    afi, nlri = of(text)
    assert why_not_unicast(nlri, afi) is None


@pytest.mark.parametrize("text", [text for text, why in WHY.items() if why is RESERVED])
def test_the_reserved_range_may_be_allowed(text: str) -> None:
    afi, nlri = of(text)
    assert why_not_unicast(nlri, afi, allows_reserved=True) is None


@cases("text", [text for text, why in WHY.items() if why is not RESERVED])
def test_nothing_else_is_allowed_with_it(text: str) -> None:
    afi, nlri = of(text)
    assert why_not_unicast(nlri, afi, allows_reserved=True) is WHY[text]


def test_dividing_keeps_the_order() -> None:
    texts = ("10.0.0.0/8", "224.0.0.0/4", "0.0.0.0/0", "127.0.0.0/8", "239.0.0.0/8")
    nlris = [of(text)[1] for text in texts]
    good, others = divide(nlris, AFI_IPV4)
    assert good == [nlris[0], nlris[2]]
    assert others == {MULTICAST: [nlris[1], nlris[4]], LOOPBACK: [nlris[3]]}
    reserved = [of("250.0.0.0/8")[1]]
    assert divide(reserved, AFI_IPV4) == ([], {RESERVED: reserved})
    assert divide(reserved, AFI_IPV4, allows_reserved=True) == (reserved, {})


PREFIXES = {
    afi: st.builds(
        make_nlri,
        st.one_of(
            st.binary(min_size=size, max_size=size),
            st.sampled_from(
                [
                    make_nlri(of(text)[1][1:].ljust(size, b"\0"), 8 * size)[1:]
                    for text in (*WHY, *UNICAST)
                    if of(text)[0] == afi
                ]
            ),
        ),
        st.integers(0, 8 * size),
    )
    for afi, size in ((AFI_IPV4, 4), (AFI_IPV6, 16))
}


@given(
    st.sampled_from((AFI_IPV4, AFI_IPV6)).flatmap(
        lambda afi: st.tuples(
            st.just(afi), st.lists(PREFIXES[afi], min_size=1, max_size=9)
        )
    )
)
def test_a_prefix_that_is_not_a_unicast_destination_makes_its_run_a_mixed_one(
    case: tuple[int, list[bytes]],
) -> None:
    afi, nlris = case
    run = b"".join(nlris)
    is_bad = any(why_not_unicast(nlri, afi) for nlri in nlris)
    found = split(run, afi)
    assert [*found] == nlris
    assert type(found) is MixedRun or not is_bad
    tagged = split_add_path(b"".join(b"\0\0\0\7" + nlri for nlri in nlris), afi)
    assert [*tagged[7]] == nlris
    assert type(tagged[7]) is MixedRun or not is_bad
    if afi == AFI_IPV4:
        tail = split_tail(b"..." + run, 3)
        assert [*tail] == nlris
        assert type(tail) is MixedRun or not is_bad


@cases("text", UNICAST)
def test_the_usual_prefix_takes_the_short_way(text: str) -> None:
    afi, nlri = of(text)
    is_unusual = nlri[1:2] in {b"\0", b"\xfe"} and not (
        afi == AFI_IPV4 and nlri[0] == 0
    )
    assert (type(split(nlri, afi)) is MixedRun) is is_unusual
