"""The table of ranges gives what looking at each of them gives."""

from collections.abc import Iterable
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from bgpd.session.ranges import RangeTable
from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.session.zones import split_zone

TEMPLATE = PeerSettings("", "", remote_as=64513, local_as=64512)

# Few bits differ, so that prefixes lie inside each other, and addresses in them.
LINKS = ("", "%eth0", "%eth1")
_lengths4 = st.sampled_from((0, 1, 8, 9, 15, 16, 31, 32))
_lengths6 = st.sampled_from((0, 1, 10, 63, 64, 65, 127, 128))


@st.composite
def prefixes(draw: st.DrawFn, *, is_host: bool = False) -> str:
    if draw(st.booleans()):
        length = 32 if is_host else draw(_lengths4)
        number = (10 << 24) + draw(st.integers(0, 3)) * 0x0081_0001
        return str(ip_network((number, length), strict=False))
    length = 128 if is_host else draw(_lengths6)
    number = (0xFE80 << 112) + draw(st.integers(0, 3)) * ((1 << 63) + 1)
    text = str(ip_network((number, length), strict=False))
    address, _, bits = text.partition("/")
    return f"{address}{draw(st.sampled_from(LINKS))}/{bits}"


ranges = st.lists(
    st.builds(
        lambda name, prefix: RangeSettings(f"r{name}", prefix, 9, TEMPLATE),
        st.integers(0, 9),
        prefixes(),
    ),
    max_size=12,
)


def by_looking_at_each(
    address: str, some: Iterable[RangeSettings]
) -> RangeSettings | None:
    """Return the range of an address: the definition."""
    plain, zone = split_zone(address)
    mine = ip_network(plain)
    fitting = []
    for number, settings in enumerate(some):
        text, link = split_zone(settings.prefix)
        prefix = ip_network(text)
        if (
            link in ("", zone)
            and prefix.version == mine.version
            and mine.subnet_of(prefix)  # type: ignore[arg-type]  # versions are equal
        ):
            fitting.append((prefix.prefixlen, bool(link), number, settings))
    return max(fitting)[-1] if fitting else None


@given(
    ranges,
    st.lists(st.integers(0, 9)),
    st.lists(prefixes(is_host=True) | prefixes(), min_size=1),
)
def test_it_gives_what_looking_at_each_gives(
    some: list[RangeSettings], gone: list[int], addresses: list[str]
) -> None:
    table, plain = RangeTable(), dict[str, RangeSettings]()
    for settings in some:
        before = plain.get(settings.name)
        if before is not None and before.prefix != settings.prefix:
            del plain[settings.name]
        plain[settings.name] = settings
        table.set(settings)
    for number in gone:
        name = f"r{number}"
        if name in plain:
            assert table.remove(name) is plain.pop(name)
    assert dict(table) == plain
    assert list(table) == list(plain)
    for text in addresses:
        address = text.removesuffix("/32").removesuffix("/128")
        assert table.of(address) is by_looking_at_each(address, plain.values())
