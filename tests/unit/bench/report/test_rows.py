from pathlib import Path

import pytest

from tests.bench import beside, start
from tests.bench.field import reflected
from tests.bench.report import observe
from tests.bench.report.builds import (
    NoBuildError,
    compiled_program,
    digest_of,
    said_build,
)
from tests.bench.report.page import PARTS
from tests.bench.report.routers import version_in
from tests.bench.report.rows import BIRD2, FRR, Replays, all_rows
from tests.bench.scenarios import SCENARIOS


def test_every_load_of_the_other_benchmarks_is_a_row(tmp_path: Path) -> None:
    rows = all_rows(tmp_path)
    assert {case.title for case in beside.CASES.values()} <= {row.title for row in rows}
    assert {it.name for it in SCENARIOS} <= {row.title for row in rows}
    assert {case[0] for case in start.CASES} <= {row.title for row in rows}
    assert {row.part for row in rows} == {*PARTS}


@pytest.mark.parametrize("is_quick", [False, True])
def test_keys_and_commands_name_one_row_each(tmp_path: Path, *, is_quick: bool) -> None:
    rows = all_rows(tmp_path, is_quick=is_quick)
    assert len({row.key for row in rows}) == len(rows)
    loads = [row for row in rows if row.part != "stalls"]
    assert len({row.command for row in loads}) == len(loads)


def test_a_quick_load_is_another_command(tmp_path: Path) -> None:
    same = {"functions", "start"}
    whole = {row.command for row in all_rows(tmp_path) if row.part not in same}
    quick = {row.command for row in all_rows(tmp_path, is_quick=True)}
    assert not whole & quick


def test_a_row_says_why_a_router_is_left_out(tmp_path: Path) -> None:
    rows = {row.key: row for row in all_rows(tmp_path)}
    assert FRR in rows["fib-prefixes-100000"].left_out
    assert BIRD2 in rows["rr-clients-1000-inflight-0"].left_out
    for row in rows.values():
        assert not row.kinds & {*row.left_out}


def test_a_recorded_session_of_the_users_own_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_bytes(b"\xff")
    (row,) = [r for r in all_rows(tmp_path, replay=file) if r.key == "replay-mine"]
    assert row.command == "full --replay mine (1 octets)"


def test_a_replay_is_made_once_and_whole(tmp_path: Path) -> None:
    replays = Replays(tmp_path, 300, 2)
    plain = replays.file("table", is_reflected=False)
    updates = replays.made["table"]()
    assert plain.read_bytes() == b"".join(updates)
    again = replays.file("table", is_reflected=True)
    assert again.read_bytes() == b"".join(reflected(updates))
    again.write_bytes(b"")
    assert replays.file("table", is_reflected=True).read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("BIRD version 2.0.12\n", "2.0.12"),
        ("bgpd version 8.4.4\nCopyright 1996-2005", "8.4.4"),
        ("2.17.6-0+deb13u1", "2.17.6"),
        ("10.3-3+deb13u1", "10.3"),
        ("unknown", "unknown"),
    ],
)
def test_a_version_has_no_revision(text: str, version: str) -> None:
    assert version_in(text) == version


def test_the_digest_follows_the_sources(tmp_path: Path) -> None:
    (tmp_path / "rib").mkdir()
    source = tmp_path / "rib" / "nlri.py"
    source.write_text("one")
    before = digest_of(tmp_path)
    assert digest_of(tmp_path) == before
    source.write_text("two")
    assert digest_of(tmp_path) != before


def test_a_program_must_be_one_of_our_builds(tmp_path: Path) -> None:
    with pytest.raises(NoBuildError, match="BENCH_COMPILED is '/none', which is not"):
        compiled_program({"BENCH_COMPILED": "/none"})
    other = tmp_path / "other"
    with pytest.raises(NoBuildError, match="cannot be started"):
        said_build(str(other))
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    with pytest.raises(NoBuildError, match="does not say which build"):
        said_build(str(other))
    other.write_text("#!/bin/sh\necho 'pybgpd 1 (pure Python, CPython 3.11)'\n")
    assert said_build(str(other)) == "pure"
    with pytest.raises(NoBuildError, match="expected a compiled one"):
        compiled_program({"BENCH_COMPILED": str(other)})


def test_the_machine_is_watched_while_a_load_runs() -> None:
    found: dict[str, float] = {}
    with observe.observed(found):
        sum(range(1000))
    assert found["total_s"] > 0
    assert found["least_free_kib"] > 0
    assert 0 <= found["least_idle"] <= 100
    assert found["steal"] >= 0 <= found["others"]
    assert "processors" in observe.hardware()
