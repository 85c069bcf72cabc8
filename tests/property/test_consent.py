"""What is held back leaves settings that are sound and end no session."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bgpd.config.consent import ending_step, withhold
from bgpd.config.diff import diff
from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.session.settings import PeerSettings
from rib.decision import DecisionOptions
from rib.policy import PolicySpec

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
POLICIES = ("a", "b", "c")
TEMPLATE = PeerSettings(name="", remote_addr="", remote_as=0, local_as=64512)


@st.composite
def settings(draw: st.DrawFn) -> DaemonSettings:
    addresses = draw(st.lists(st.sampled_from(ADDRESSES), unique=True))
    names = draw(st.permutations(["p", "q", "r"]))
    peers = tuple(
        replace(
            TEMPLATE,
            name=name,
            remote_addr=address,
            remote_as=draw(st.sampled_from([64512, 64513])),
            hold_time=draw(st.sampled_from([30, 90])),
            description=draw(st.sampled_from(["", "x"])),
            import_policy=draw(st.sampled_from(["", *POLICIES])),
        )
        for address, name in zip(sorted(addresses), names, strict=False)
    )
    named = {peer.import_policy for peer in peers} - {""}
    speaker = SpeakerSettings(
        asn=64512,
        router_id=draw(st.sampled_from(["10.0.0.1", "10.0.0.2"])),
        cluster_id=draw(st.sampled_from(["", "10.0.0.9"])),
        listen_addresses=(),
        listen_port=179,
        decision=DecisionOptions(),
        defaults=TEMPLATE,
    )
    policies = tuple(
        PolicySpec(name, accepts_unmatched=draw(st.booleans()))
        for name in sorted(named)
    )
    return DaemonSettings("", speaker, peers=peers, policies=policies)


@given(settings(), settings(), st.sets(st.sampled_from(ADDRESSES)))
def test_what_is_left_ends_no_session_and_is_sound(
    old: DaemonSettings, new: DaemonSettings, addresses: set[str]
) -> None:
    up = dict.fromkeys(addresses & {peer.remote_addr for peer in old.peers}, "")
    held = [step for step in diff(old, new) if ending_step(step, up)]
    mixed, kept = withhold(old, new, held)
    assert list(kept) == held
    assert not any(ending_step(step, up) for step in diff(old, mixed))
    names = [peer.name for peer in mixed.peers]
    assert len(names) == len(set(names))
    policies = {each.name for each in mixed.policies}
    assert {peer.import_policy for peer in mixed.peers} - {""} <= policies
    if not held:
        assert mixed == new


@given(settings(), settings())
def test_consent_leaves_nothing_to_do(old: DaemonSettings, new: DaemonSettings) -> None:
    up = dict.fromkeys((peer.remote_addr for peer in old.peers), "")
    mixed, _ = withhold(old, new, [s for s in diff(old, new) if ending_step(s, up)])
    again = {step.name for step in diff(mixed, new)}
    assert again >= {step.name for step in diff(old, new) if ending_step(step, up)}
