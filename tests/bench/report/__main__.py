"""``make bench-report``: all loads, both builds, beside BIRD 2 and 3 and FRR, on one page.

Measurements are kept as lines of JSON while it runs: interrupted, the same command goes on where it
was. They are made again where the sources, a router's version or the machine has changed, or with
--again. When it ends, however it ends, it writes the page, its plots, report.json and report.csv, which has
the columns of bgperf2.

Exit codes: 0 all is measured; 1 one of our builds failed under a load; 2 something is missing, nothing
was measured; 3 the time given by --minutes is over, run it again; 130 interrupted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import start
from tests.bench.peers import ROOT, VARIABLE, NoPeersError
from tests.bench.report import bgperf2, observe, plots
from tests.bench.report.builds import NoBuildError, cache_folder, digest_of
from tests.bench.report.page import PARTS, busy, page
from tests.bench.report.results import Measurement, Origin, Results, latest
from tests.bench.report.routers import (
    BUILDS,
    Router,
    all_routers,
    ready,
)
from tests.bench.report.rows import Figures, Row, RunError, all_rows
from tests.bench.report.summary import Summary, differences, summarize
from tests.bench.scenarios import missing

MISSING: Final = 2
UNFINISHED: Final = 3
INTERRUPTED: Final = 130
SUITE: Final = "sid"


class Plan(NamedTuple):
    """What is measured.

    Attributes:
        rows: Loads.
        routers: Those that are measured now.
        columns: All that the page has.
        origin: Of what is measured now.
        runs: Of each router under each load.
    """

    rows: Sequence[Row]
    routers: Sequence[Router]
    columns: Sequence[Router]
    origin: Origin
    runs: int


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def origin() -> Origin:
    """Return what this machine and this checkout are."""
    commit = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    if _git("status", "--porcelain", "--untracked-files=no", "--", ":!docs"):
        commit += " with changes"
    python = f"{sys.implementation.name} {sys.version.split()[0]}"
    return Origin(observe.hardware(), python, digest_of(), commit)


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def waiting(plan: Plan, results: Results) -> Iterator[tuple[int, Row, Router]]:
    """Yield what is still to be measured; routers take turns within a row.

    A router that failed under a load is not tried again.
    """
    for row in plan.rows:
        for run in range(min(plan.runs, row.most_runs)):
            for router in plan.routers:
                if router.kind not in row.kinds:
                    continue
                its = results.of(
                    row.key, row.command, router.key, router.version, plan.origin
                )
                if any(it.run == run or it.error for it in its):
                    continue
                yield run, row, router


def measure(plan: Plan, results: Results, until: float) -> int:
    """Measure what is waiting; return how many are left when the time is over."""
    left = list(waiting(plan, results))
    total, started = len(left), time.monotonic()
    for done, (run, row, router) in enumerate(left):
        if time.monotonic() > until:
            return total - done
        spent = time.monotonic() - started
        rest = f", {spent / done * (total - done) / 60:.0f} min left" if done else ""
        say(
            f"{done + 1}/{total}{rest}: {row.key}, {router.title},"
            f" run {run + 1} of {min(plan.runs, row.most_runs)}"
        )
        # A router that fails in this call has no further runs in it.
        its = results.of(row.key, row.command, router.key, router.version, plan.origin)
        if any(it.error for it in its):
            continue
        found, error = {}, ""
        machine: dict[str, float] = {}
        try:
            with observe.observed(machine):
                found = row.measure(router)
        except (RunError, NoBuildError, OSError, subprocess.SubprocessError) as failure:
            error = str(failure) or type(failure).__name__
            say(f"  failed: {error}")
        date = datetime.now(UTC).isoformat(timespec="seconds")
        results.add(
            Measurement(
                row.key,
                row.command,
                router.key,
                router.version,
                run,
                plan.origin,
                date,
                found,
                error,
                {key: round(value, 4) for key, value in machine.items()},
            )
        )
        if found:
            say(f"  {_in_short(found)}")
    return 0


def _in_short(found: Figures) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in found.items())


def write(summary: Summary, folder: Path, *, has_plots: bool) -> None:
    """Write the page and what belongs to it."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(summary, folder) if has_plots else []
    (folder / "report.md").write_text(page(summary, drawn), "utf-8")
    (folder / "report.csv").write_text(bgperf2.table(summary), "utf-8")
    rows = ",\n".join(map(json.dumps, summary["rows"]))
    head = json.dumps({**summary, "rows": []}).removesuffix("[]}")
    (folder / "report.json").write_text(f"{head}[\n{rows}\n]}}\n", "utf-8")
    say(f"written: {folder / 'report.md'}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", choices=PARTS, action="append", help="a part; may be repeated")
    add("--match", default="", help="only loads that have this in key or title")
    add("--routers", default="", help="only these columns, with commas between")
    add("--runs", type=int, default=3, help="of each router under each load")
    add("--quick", action="store_true", help="small loads, one run: to try the report")
    add("--minutes", type=float, default=1e6, help="start nothing more after so many")
    add("--again", action="store_true", help="measure what has been measured, too")
    add("--replay", type=Path, metavar="FILE", help="a recorded session, as a load")
    add(
        "--peers",
        metavar="SUITE",
        default=os.environ.get(VARIABLE) or SUITE,
        help="Debian suite of the newer routers; 'installed' for none (%(default)s)",
    )
    add("--results", type=Path, metavar="FILE", help="where measurements are kept")
    add(
        "--into",
        type=Path,
        metavar="FOLDER",
        default=ROOT / "docs" / "benchmarks",
        help="for the page (docs/benchmarks)",
    )
    add("--no-plots", action="store_true", help="without matplotlib")
    add("--list", action="store_true", help="say what would be measured, and end")
    add("--page-only", action="store_true", help="measure nothing, write the page")
    add(
        "--against",
        type=Path,
        metavar="FILE",
        help="measure nothing: compare report.json with another machine's",
    )
    found = parser.parse_args()
    if found.runs < 1:
        parser.error("--runs: expected 1 or more")
    if found.replay and not found.replay.is_file():
        parser.error(f"--replay: {found.replay} is not a file")
    if found.results is None:
        name = "quick.jsonl" if found.quick else "results.jsonl"
        found.results = cache_folder() / name
    return found


def compare_machines(asked: argparse.Namespace) -> int:
    """Say which ratios differ from another machine's; return the exit code."""
    read: list[Summary] = []
    for file in (asked.into / "report.json", asked.against):
        try:
            read.append(json.loads(file.read_text("utf-8")))
        except (OSError, ValueError) as error:
            say(f"{file} is not a report: {error}")
            return MISSING
    count, lines = differences(*read)
    for line in lines:
        say(line)
    say(f"{count} ratios compared, {len(lines)} differ by more than 15 %")
    return 1 if lines or not count else 0


def prepare(asked: argparse.Namespace, folder: Path) -> Plan:
    """Return what is measured.

    Raises:
        NoPeersError: The suite's routers cannot be unpacked.
        NoBuildError: One of our builds cannot be measured.
        RunError: No load, or an unknown router, is selected.
    """
    rows = [
        row
        for row in all_rows(folder, is_quick=asked.quick, replay=asked.replay)
        if (not asked.only or row.part in asked.only)
        and (asked.match in row.key or asked.match in row.title)
    ]
    routers = all_routers("" if asked.peers == "installed" else asked.peers)
    wanted = {name for name in asked.routers.split(",") if name}
    unknown = wanted - {router.key for router in routers}
    if unknown:
        known = ", ".join(router.key for router in routers)
        raise RunError(f"no router {', '.join(sorted(unknown))}; there are: {known}")
    chosen = [router for router in routers if not wanted or router.key in wanted]
    if not rows:
        raise RunError("no load has that in its key or title; --list shows them")
    if not asked.list and not asked.page_only:
        chosen = [ready(router) for router in chosen]
    return Plan(rows, chosen, routers, origin(), 1 if asked.quick else asked.runs)


def run(asked: argparse.Namespace, folder: Path) -> int:
    """Measure and write; return the exit code."""
    try:
        plan = prepare(asked, folder)
    except (NoPeersError, NoBuildError, RunError) as error:
        say(f"nothing is measured: {error}")
        return MISSING
    results = Results(asked.results)
    if asked.again and not asked.page_only and not asked.list:
        chosen = {router.key for router in plan.routers}
        results.forget({row.key for row in plan.rows}, chosen)
    if results.skipped:
        say(f"{asked.results}: {results.skipped} lines cannot be read: skipped")
    if asked.list:
        for number, row, router in waiting(plan, results):
            sys.stdout.write(f"{row.key}\t{router.key}\t{number + 1}\t{row.title}\n")
        return 0
    code = 0
    if not asked.page_only:
        load = os.getloadavg()[0]
        if load > observe.BUSY_LOAD:
            say(f"warning: load average {load:.1f}: ratios may not last")
        try:
            left = measure(plan, results, time.monotonic() + asked.minutes * 60)
            code = UNFINISHED if left else 0
            if left:
                say(f"{left} measurements are left: the same command goes on")
        except KeyboardInterrupt:
            code = INTERRUPTED
    every = all_rows(folder, is_quick=asked.quick, replay=asked.replay)
    keys = [row.key for row in every]
    measured = latest(results.measurements, plan.origin.machine, keys)
    summary = summarize(every, plan.columns, measured)
    if not summary["rows"]:
        say("nothing has been measured on this machine: there is no page")
        return code or MISSING
    write(summary, asked.into, has_plots=not asked.no_plots)
    texts = busy(summary)
    if texts:
        say(f"warning: the machine was busy: {', '.join(texts)}")
    failed = [
        f"{row['key']}, {build}: {row['errors'][build]}"
        for row in summary["rows"]
        for build in BUILDS
        if build in row["errors"]
    ]
    for text in failed:
        say(f"failed: {text}")
    return code or (1 if failed else 0)


def main() -> None:
    asked = arguments()
    os.chdir(ROOT)
    if asked.against:
        sys.exit(compare_machines(asked))
    reason = "" if asked.no_plots else plots.missing()
    if not asked.page_only and not asked.list:
        reason = reason or missing() or start.missing()
    if reason:
        say(f"nothing is measured: {reason}")
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        sys.exit(run(asked, Path(name)))


if __name__ == "__main__":
    main()
