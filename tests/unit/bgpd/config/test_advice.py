"""The check and the daemon both report what is valid and hardly intended."""

from pathlib import Path

import pytest

from bgpd.config.advice import (
    NO_DISCARD,
    NO_EXPORT,
    NO_IMPORT,
    NO_KEY,
    NO_POLICY,
    NO_ROUTES,
    advice,
)
from bgpd.config.check import check
from bgpd.config.loader import load

HEAD = "bgp: {as: 64512, router_id: 10.0.0.1}\n"


def lines(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "pybgpd.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    found = advice(load(file, environment={}).settings)
    report = check(file, environment={})
    assert report.is_valid
    shown = [line for line in report.lines if line.startswith("warning: ")]
    assert shown == [f"warning: {line}" for line in found]
    return found


@pytest.mark.parametrize(
    ("policies", "text"),
    [
        ("", NO_POLICY),
        ("import_policy: accept-all", NO_EXPORT),
        ("export_policy: accept-all", NO_IMPORT),
        ("import_policy: accept-all, export_policy: reject-all", ""),
    ],
)
def test_ebgp_without_a_policy_is_reported(
    policies: str, text: str, tmp_path: Path
) -> None:
    peer = f"peers: [{{name: gw, address: 10.0.0.2, as: 65001, {policies}}}]"
    found = lines(tmp_path, peer)
    assert found == ((f"peer gw: eBGP with {text}",) if text else ())


@pytest.mark.parametrize(
    "peer",
    [
        "peers: [{address: 10.0.0.2, as: 64512}]",
        "ranges: [{prefix: 10.0.0.0/24, as: 64512}]",
    ],
)
def test_ibgp_needs_none(peer: str, tmp_path: Path) -> None:
    assert lines(tmp_path, peer) == ()


def test_thousands_of_a_kind_are_one_line(tmp_path: Path) -> None:
    each = (f"{{address: 10.0.1.{n}, as: 65001}}" for n in range(200))
    text = f"peers: [{', '.join(each)}]\nranges: [{{prefix: 10.9.0.0/24, as: 65002}}]"
    (line,) = lines(tmp_path, text)
    assert " and 196 more: eBGP with no policy" in line


@pytest.mark.parametrize("mode", ["self", "self-all", "self-internal", "auto", "keep"])
@pytest.mark.parametrize("fib", ["on", "off"])
def test_a_next_hop_that_leads_nowhere_is_reported(
    mode: str, fib: str, tmp_path: Path
) -> None:
    found = lines(
        tmp_path,
        f"""
fib: {{mode: {fib}}}
peers:
  - {{name: c1, address: 10.0.0.2, as: 64512, next_hop: {mode}}}
  - {{name: c2, address: 10.0.0.3, as: 64512}}
  - {{name: gw, address: 10.0.0.4, as: 65001, next_hop: {mode},
     import_policy: accept-all, export_policy: accept-all}}
ranges: [{{prefix: 10.9.0.0/24, as: 64512, next_hop: {mode}}}]
""",
    )
    is_said = fib == "off" and mode.startswith("self")
    text = f"peer c1, range 10.9.0.0/24: {NO_ROUTES.format(mode)}"
    assert found == ((text,) if is_said else ())


@pytest.mark.parametrize("asn", ["external", "[65001, 65002]", "65001-65009"])
def test_those_that_are_external_for_certain_need_policies(
    asn: str, tmp_path: Path
) -> None:
    found = lines(tmp_path, f"ranges: [{{prefix: 10.0.0.0/24, as: {asn}}}]")
    assert found == (f"range 10.0.0.0/24: eBGP with {NO_POLICY}",)


@pytest.mark.parametrize("asn", ["internal", "0", "[64512, 65001]"])
def test_those_that_may_be_internal_do_not(asn: str, tmp_path: Path) -> None:
    assert lines(tmp_path, f"ranges: [{{prefix: 10.0.0.0/24, as: {asn}}}]") == ()


def test_a_peer_without_a_key_inside_a_range_with_one_is_reported(
    tmp_path: Path,
) -> None:
    found = lines(
        tmp_path,
        """
ranges:
  - {prefix: 10.0.0.0/8, as: 64512, password: a}
  - {prefix: 10.1.0.0/16, as: 64512}
  - {prefix: 10.2.0.0/16, as: 64512, password: b}
  - {prefix: 10.2.3.0/24, as: 64512}
  - {prefix: 11.0.0.0/8, as: 64512}
  - {prefix: "fd00::/16", as: 64512}
peers:
  - {address: 10.2.0.9, as: 64512}
  - {address: 10.2.0.8, as: 64512, password: c}
  - {address: 10.9.0.9, as: 64512}
  - {address: "fe80::1%eth0", as: 64512}
""",
    )
    assert found == (
        f"range 10.1.0.0/16, peer 10.9.0.9: {NO_KEY.format('10.0.0.0/8')}",
        f"range 10.2.3.0/24, peer 10.2.0.9: {NO_KEY.format('10.2.0.0/16')}",
    )


@pytest.mark.parametrize(
    ("patterns", "is_said"),
    [("[-eth0]", True), ("[-eth0, -lo]", True), ('[-eth0, "*"]', False), ("[]", False)],
)
def test_patterns_that_only_exclude_are_reported(patterns, is_said, tmp_path) -> None:
    found = lines(tmp_path, f"routes: {{direct: {{interfaces: {patterns}}}}}")
    assert any("routes.direct.interfaces" in line for line in found) is is_said


@pytest.mark.parametrize("fib", ["on", "off"])
def test_an_aggregate_that_discards_nothing_is_reported(
    fib: str, tmp_path: Path
) -> None:
    found = lines(
        tmp_path,
        f"""
fib: {{mode: {fib}}}
routes:
  originate:
    - {{prefix: 10.0.0.0/8, aggregate: on}}
    - {{prefix: 11.0.0.0/8, aggregate: on, blackhole: on}}
    - {{prefix: 12.0.0.0/8}}
""",
    )
    assert found == ((f"aggregate 10.0.0.0/8: {NO_DISCARD}",) if fib == "on" else ())
