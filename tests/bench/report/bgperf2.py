"""The report's medians as CSV in the columns of bgperf2, the public suite, for its graphs.

bgperf2 (github.com/netenglabs/bgperf2, ``stats_header`` of ``bgperf2.py``) finds columns by their
position and draws a bar of each name for each group of peers, prefixes and filter. So every
group must have every name: one that was not measured is a FAILED row, which it draws as 0. The
filter column names our load, or loads of the same size would be one group.
"""

import csv
import io
import re
from collections.abc import Mapping
from typing import Final

from tests.bench.report.routers import BUILDS, KERNEL
from tests.bench.report.summary import Column, RowSummary, Summary, Value

COLUMNS: Final = (
    "name",
    "target",
    "version",
    "peers",
    "prefixes per peer",
    "required",
    "received",
    "monitor (s)",
    "elapsed (s)",
    "prefix received (s)",
    "testers (s)",
    "total time",
    "max cpu %",
    "max mem (GB)",
    "min idle%",
    "min free mem (GB)",
    "flags",
    "date",
    "cores",
    "Mem (GB)",
    "tester errors",
    "tester timeouts",
    "failed",
    "MSG",
    "filters",
    "max foreign cpu %",
    "target image",
    "tester version",
    "monitor version",
)
_TARGETS: Final = {"bird2": "bird", "bird3": "bird", "frr": "frr_c"}
_ELAPSED: Final = ("converge_s", "learn_s")  # the first that a load has
_PROCESSOR: Final = ("dut_cpu_s", "cpu_s")
_MEMORY: Final = ("dut_peak_rss_kb", "peak_kb")
_KIB_PER_GB: Final = 1 << 20  # bgperf2 divides octets by 1024 three times
_HARDWARE: Final = re.compile(r"(\d+) processors, (\d+) GiB")


def table(summary: Summary) -> str:
    """Return the CSV: loads that converge, a line for each router."""
    text = io.StringIO()
    # bgperf2 writes a space after each comma of its header.
    text.write(", ".join(COLUMNS) + "\n")
    writer = csv.writer(text, lineterminator="\n")
    for row in summary["rows"]:
        if row["part"] == "stalls" or not any(
            key in row["figures"] for key in _ELAPSED
        ):
            continue
        for column in summary["columns"]:
            if column["kind"] == KERNEL:
                continue
            writer.writerow(_line(summary, row, column))
    return text.getvalue()


def _line(summary: Summary, row: RowSummary, column: Column) -> list[object]:
    router = column["key"]
    figures = row["figures"]
    elapsed = _median(figures, _ELAPSED, router)
    machine = row["machine"].get(router, {})
    peers, prefixes = row["shape"]
    failed = elapsed is None
    processor = _median(figures, _PROCESSOR, router) or 0.0
    memory = _median(figures, _MEMORY, router) or 0.0
    hardware = _HARDWARE.search(summary["machine"])
    cores, size = hardware.groups() if hardware else ("0", "0")
    seconds = elapsed or 0.0
    message = row["errors"].get(router, "not measured") if failed else ""
    return [
        column["title"],
        _TARGETS.get(column["kind"], "pybgpd"),
        row["commit"] if column["kind"] in BUILDS else column["version"],
        peers,
        prefixes,
        peers * prefixes,
        0 if failed else peers * prefixes,
        round(_median(figures, ("established_s",), router) or 0.0, 3),
        round(seconds, 3),
        0,  # the clock starts with the first UPDATE, not with the containers
        round(seconds, 3),
        round(machine.get("total_s", 0.0), 2),
        round(100 * processor / seconds) if seconds else 0,
        round(memory / _KIB_PER_GB, 3),
        round(machine.get("least_idle", 0.0)),
        round(machine.get("least_free_kib", 0.0) / _KIB_PER_GB, 3),
        "",
        row["date"][:10],
        cores,
        f"{size}.00GB",
        0,
        0,
        "FAILED" if failed else "",
        message,
        row["key"],
        round(machine.get("others", 0.0)),
        "",
        "",
        "",
    ]


def _median(
    figures: Mapping[str, Mapping[str, Value]], keys: tuple[str, ...], router: str
) -> float | None:
    for key in keys:
        if router in figures.get(key, {}):
            return figures[key][router]["median"]
    return None
