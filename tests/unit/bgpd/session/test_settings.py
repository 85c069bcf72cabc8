"""Which AS a peer may be of."""

import pytest

from bgpd.session.settings import AsClass, PeerSettings

OURS = 64512
LISTED, INTERNAL, EXTERNAL = AsClass.LISTED, AsClass.INTERNAL, AsClass.EXTERNAL


@pytest.mark.parametrize(
    ("asn", "kind", "ranges", "accepted", "refused", "is_internal", "shown"),
    [
        (OURS, LISTED, (), [OURS], [1], True, "64512"),
        (1, LISTED, (), [1], [OURS, 2], False, "1"),
        (0, LISTED, (), [1, OURS], [], None, "any"),
        (0, LISTED, ((1, 3), (9, 9)), [1, 3, 9], [4, 8, OURS], False, "1-3, 9"),
        (0, LISTED, ((OURS - 1, OURS),), [OURS], [1], None, "64511-64512"),
        (0, EXTERNAL, (), [1, OURS + 1], [OURS], False, "external"),
        (OURS, INTERNAL, (), [OURS], [1], True, "64512"),
    ],
)
def test_the_class_or_list_says_which_as_may_come(  # noqa: PLR0917  # a table
    asn, kind, ranges, accepted, refused, is_internal, shown
) -> None:
    settings = PeerSettings(
        "",
        "",
        remote_as=asn,
        local_as=OURS,
        remote_as_class=kind,
        remote_as_ranges=ranges,
    )
    assert all(settings.accepts_as(each) for each in accepted)
    assert not any(settings.accepts_as(each) for each in refused)
    assert settings.is_internal is is_internal
    assert settings.accepted_as == shown
