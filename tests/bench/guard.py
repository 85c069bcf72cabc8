"""``make bench-guard``: work of the hot functions, counted instead of timed.

Seconds on a shared machine say nothing about a change of five percent. What is counted
here is the same on every machine with the same Python: instructions of the interpreter,
and calls from Python into C, for one run of each benchmark. ``guard.json`` holds them; more
than ``TOLERANCE`` above is a failure, to be repaired or to be accepted with ``--update``.

What happens inside a C call is not seen: a longer regular expression costs nothing here.
``tests.bench.compiled_guard`` does the same for the compiled build.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, NamedTuple

from tests.bench.core import BENCHMARKS

FILE: Final = Path(__file__).with_name("guard.json")
TOLERANCE: Final = 1.02
WARM_UP: Final = 2  # runs that fill memos and the interpreter's own caches
VERSION: Final = ".".join(map(str, sys.version_info[:2]))


class Counts(NamedTuple):
    """What one run of a benchmark takes.

    Attributes:
        instructions: Of the interpreter.
        calls: Into functions written in C.
    """

    instructions: int
    calls: int


def count(run: Callable[[], object]) -> Counts:
    """Return what a run takes once it is warm."""
    for _ in range(WARM_UP):
        run()
    return Counts(_instructions(run), _calls(run))


def _instructions(run: Callable[[], object]) -> int:
    found = 0
    if sys.version_info >= (3, 12):  # PEP 669; tracing tells of no instruction there
        monitoring = sys.monitoring
        tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION

        def instruction(_: CodeType, __: int) -> None:
            nonlocal found
            found += 1

        monitoring.use_tool_id(tool, "bench-guard")
        monitoring.register_callback(tool, event, instruction)
        monitoring.set_events(tool, event)
        try:
            run()
        finally:
            monitoring.set_events(tool, monitoring.events.NO_EVENTS)
            monitoring.free_tool_id(tool)
        return found

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal found
        if event == "call":
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
        elif event == "opcode":
            found += 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]  # it returns itself
    try:
        run()
    finally:
        sys.settrace(None)
    return found


def _calls(run: Callable[[], object]) -> int:
    found = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal found
        found += event == "c_call"

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


def count_all() -> dict[str, Counts]:
    """Return the counts of all benchmarks."""
    return {name: count(prepare().run) for name, prepare in BENCHMARKS.items()}


def compare(
    known: dict[str, list[int]], found: dict[str, Counts], file: Path = FILE
) -> list[str]:
    """Return what is worse than ``known``, or not known, a line each."""
    lines = []
    for name, counts in found.items():
        if name not in known:
            lines.append(f"{name}: not in {file.name}")
            continue
        for what, now, before in zip(Counts._fields, counts, known[name], strict=True):
            if now > before * TOLERANCE:
                lines.append(f"{name}: {now} {what}, {before} before")
    lines += [f"{name}: no such benchmark" for name in known if name not in found]
    return lines


def read(file: Path) -> dict[str, dict[str, list[int]]]:
    """Return all figures that a file keeps: of each build, by benchmark."""
    figures: dict[str, dict[str, list[int]]] = json.loads(
        file.read_text(encoding="utf-8")
    )
    return figures


def write(file: Path, build: str, found: dict[str, Counts]) -> None:
    """Keep figures of a build in place of its former ones."""
    figures = read(file) if file.exists() else {}
    figures[build] = {name: list(counts) for name, counts in found.items()}
    builds = []
    for each in sorted(figures):
        rows = (
            f"    {json.dumps(name)}: {json.dumps(counts)}"
            for name, counts in sorted(figures[each].items())
        )
        builds.append(f"  {json.dumps(each)}: {{\n" + ",\n".join(rows) + "\n  }")
    file.write_text("{\n" + ",\n".join(builds) + "\n}\n", encoding="utf-8")


def judge(file: Path, build: str, found: dict[str, Counts], *, update: bool) -> int:
    """Check figures of a build, or keep them; say what is worse; return the exit code."""
    if update:
        write(file, build, found)
        return 0
    known = read(file).get(build)
    if known is None:
        sys.stderr.write(
            f"{file.name} has no figures of {build}: make them with --update"
            " at a commit that is good\n"
        )
        return 1
    worse = compare(known, found, file)
    for line in worse:
        sys.stdout.write(f"{build}: {line}\n")
    if not worse:
        sys.stdout.write(f"{build}: {len(found)} benchmarks take no more than before\n")
    return 1 if worse else 0


def arguments(description: str | None) -> argparse.Namespace:
    """Return the options of a guard."""
    parser = argparse.ArgumentParser(prog="make bench-guard", description=description)
    parser.add_argument(
        "--update", action="store_true", help="keep today's figures instead"
    )
    return parser.parse_args()


def main() -> int:
    """Check the figures, or measure and write them again; return the exit code."""
    return judge(FILE, VERSION, count_all(), update=arguments(__doc__).update)


if __name__ == "__main__":
    sys.exit(main())
