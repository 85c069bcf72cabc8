import csv
import io
import json
import re
from collections import defaultdict

import pytest

from tests.bench.report import bgperf2, plots
from tests.bench.report.page import amount, busy, name_of, page
from tests.bench.report.rows import Target
from tests.bench.report.summary import Summary, summarize
from tests.unit.bench.report.builders import (
    BIRD_NEW,
    BIRD_OLD,
    COMPILED,
    FRR,
    PURE,
    ROUTERS,
    a_row,
    measured,
)


def a_summary() -> Summary:
    rows = [
        a_row("full", Target("converge_s", "bird2", 0.7, 0.95))._replace(
            shape=(1, 1000)
        ),
        a_row("rr", part="reflector")._replace(shape=(100, 4)),
        a_row("stalls-full", Target("max_ms", "", 50, 50), part="stalls"),
    ]
    figures = {"converge_s": 1.5, "dut_cpu_s": 1.2, "dut_peak_rss_kb": 204_800.0}
    full = [
        *measured(BIRD_OLD, {**figures, "converge_s": 2.0}),
        *measured(BIRD_NEW, {**figures, "converge_s": 2.5}),
        *measured(FRR, error="it said | no\nmore"),
        *measured(PURE, figures, {**figures, "converge_s": 2.1}),
        *measured(COMPILED, {**figures, "converge_s": 1.2}),
    ]
    busy_machine = {"others": 80.0, "steal": 3.0, "generator_s": 0.5, "total_s": 4.0}
    rr = [
        it._replace(machine=busy_machine)
        for it in measured(PURE, {**figures, "established_s": 0.4}, row="rr")
    ]
    stalls = measured(PURE, {"max_ms": 61.0, "p999_ms": 9.0}, row="stalls-full")
    its = {"full": full, "rr": rr, "stalls-full": stalls}
    return summarize(rows, ROUTERS, its)


def test_a_page_has_all_that_gives_its_figures_a_meaning() -> None:
    text = page(a_summary(), ["report-time.svg"])
    for part in ("2 processors", "c0ffee", "cpython 3.11", "2026-11-30", "BIRD 2.0.12"):
        assert part in text
    assert "FRR 8.4 failed: it said / no more" in text
    assert "![report-time](report-time.svg)" in text
    assert "1.2x" not in text.partition("## Tables")[0].partition("0.6x, met")[0]
    assert "**61 ms, missed**" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", page(a_summary()), re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_busy_machine_is_named() -> None:
    (text,) = busy(a_summary())
    assert text == "rr (others used 80 % of a processor, 3 % was stolen)"
    assert text in page(a_summary())


def test_a_summary_is_json() -> None:
    found = a_summary()
    assert page(json.loads(json.dumps(found))) == page(found)


def test_without_routers_there_is_a_page_too() -> None:
    found = summarize([a_row()], [PURE], {"full": measured(PURE, {"converge_s": 1.0})})
    assert "Beside no other routers" in page(found)
    assert "Beside no other routers" not in page(a_summary())


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("converge_s", 1.23456, "1.23 s"),
        ("churn_p50_ms", 0.51, "0.51 ms"),
        ("churn_dut_cpu_ms_per_event", 2.0, "2 ms"),
        ("peak_kb", 1024 * 2048.0, "2,048 MB"),
        ("wakeups_per_s", 80.25, "80.2 /s"),
        ("events", 12.0, "12"),
    ],
)
def test_figures_have_their_unit(figure: str, value: float, text: str) -> None:
    assert amount(figure, value) == text


def test_a_figure_that_is_new_is_named_by_its_key() -> None:
    assert name_of("longest_gap_ms") == "longest gap"


def lines_of(text: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(text), skipinitialspace=True)]


def test_the_csv_has_the_columns_of_bgperf2_in_their_places() -> None:
    head, *lines = lines_of(bgperf2.table(a_summary()))
    assert head == [*bgperf2.COLUMNS]
    assert {len(line) for line in lines} == {29}
    by_name = {(line[0], line[24]): line for line in lines}
    pure = by_name["pybgpd, pure", "full"]
    # Where bgperf2's graphs look: elapsed, reception, processor, memory; peers, prefixes.
    assert [pure[at] for at in (8, 10, 12, 13, 3, 4)] == [
        "1.8",
        "1.8",
        "67",
        "0.195",
        "1",
        "1000",
    ]
    assert by_name["FRR 8.4", "full"][22] == "FAILED"


def test_every_group_of_bars_has_every_name() -> None:
    """bgperf2 draws groups of the same length, or it fails."""
    _, *lines = lines_of(bgperf2.table(a_summary()))
    groups = defaultdict(list)
    for line in lines:
        groups[line[3], line[4], line[24]].append(line[0])
        for at in (6, 7, 8, 10, 11, 12, 13, 14, 15, 20):
            float(line[at])
    assert len(groups) == 2
    assert len({tuple(names) for names in groups.values()}) == 1


def test_a_plot_has_the_first_figure_of_each_load() -> None:
    found = plots.points(a_summary(), ("move_s", "converge_s"))
    assert [(row["key"], figure) for row, figure, _ in found] == [
        ("full", "converge_s")
    ]
    assert set(found[0][2]) == {"bird2", "bird2-sid", "pure", "compiled"}
