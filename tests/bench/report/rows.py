"""The rows of the report: every load with its parameters, its targets and how it is run once.

Loads come from the tables of the other benchmarks, so a new one there is a row here.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import beside, kernel, start
from tests.bench.field import CHURN, a_full_table, reflected
from tests.bench.mrt import messages
from tests.bench.peers import ROOT
from tests.bench.report.builds import python_of
from tests.bench.report.routers import BUILDS, KERNEL, Router
from tests.bench.sampled import FILE_VARIABLE
from tests.bench.scenarios import COMPILED, OURS, SCENARIOS, Scenario, compare
from tests.support.vectors import vectors_folder

Figures = dict[str, float]

BIRD2: Final = "bird2"
FRR: Final = "frr"
OTHERS: Final = frozenset({BIRD2, "bird3", FRR})
ALL: Final = OTHERS | {*BUILDS}
STALL_LIMIT: Final = 50.0  # milliseconds
_TIMEOUT: Final = 300  # seconds that a load may take to converge
# What compare.py measures; its other figures say that the load was complete.
_SHOWN: Final = (
    "established_s",
    "converge_s",
    "dut_cpu_s",
    "dut_peak_rss_kb",
    "fib_first_to_last_s",
    "fib_flush_s",
    "churn_p50_ms",
    "churn_p99_ms",
    "churn_dut_cpu_ms_per_event",
)
# Small enough for a trial of the report itself.
_QUICK: Final = {
    "prefixes": 5_000,
    "sessions": 20,
    "clients": 20,
    "peers": 5,
    "seconds": 5,
    "sets": 500,
    "blocks": 4,
}
_FRR_HAS_NO_KERNEL: Final = "bgpd alone writes no routes into the kernel"
_NOT_ALL_AT_ONCE: Final = "leaves sessions down for a minute if all connect at once"


class RunError(Exception):
    """A router failed under a load; the text says how."""


class Target(NamedTuple):
    """What a figure of our builds must not exceed.

    Attributes:
        figure: Its key.
        rival: Kind of router: the limits are multiples of the best figure of that kind.
            Empty where they are absolute.
        compiled: Limit of the compiled build.
        pure: Limit of the pure one.
    """

    figure: str
    rival: str
    compiled: float
    pure: float


class Row(NamedTuple):
    """One load.

    Attributes:
        key: Names it in results and on the command line.
        part: Names the table that it stands in.
        title: For people.
        command: The load with its parameters: results of another command are left out.
        measure: Runs it once.
        kinds: Of the routers that take part.
        targets: What is aimed at.
        left_out: Kind of router -> why it does not take part.
        shape: Peers, and prefixes that each of them announces.
        most_runs: A load that takes minutes is not run more often.
    """

    key: str
    part: str
    title: str
    command: str
    measure: Callable[[Router], Figures]
    kinds: frozenset[str] = ALL
    targets: tuple[Target, ...] = ()
    left_out: Mapping[str, str] = {}
    shape: tuple[int, int] = (1, 0)
    most_runs: int = 9


def _fields(rival: str, pure: float, compiled: float) -> tuple[Target, ...]:
    return tuple(
        Target(key, rival, compiled, pure) for key in ("converge_s", "dut_cpu_s")
    )


_MEMORY: Final = "dut_peak_rss_kb"
# Of the recorded and the made tables; the others bring their own.
_TARGETS: Final[Mapping[str, tuple[Target, ...]]] = {
    "churn-2016": _fields(BIRD2, 1.4, 1.0),
    "churn-2019": _fields(BIRD2, 1.4, 1.0),
    "table-reflected": (
        *_fields(BIRD2, 1.2, 0.9),
        Target(_MEMORY, BIRD2, 1.2, 1.2),
    ),
    "full table, 1,000,000 prefixes": (
        *_fields(BIRD2, 0.95, 0.7),
        Target(_MEMORY, BIRD2, 1.15, 1.15),
    ),
}
_YEARS: Final = ("2016", "2019")


def by_compare(arguments: tuple[str, ...], router: Router, **variables: str) -> Figures:
    """Run ``compare.py`` once.

    Raises:
        RunError: The router did not start or did not converge.
    """
    its = {"PYTHONPATH": "", **router.variables, **variables}
    if router.program and "DUT_CMD" not in variables:
        its["DUT_CMD"] = OURS.format(program=router.program)
    try:
        (run,) = compare(
            (*arguments, "--timeout", str(_TIMEOUT)), 1, [router.maker], its
        )[router.maker]
    except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        raise RunError(f"compare.py failed: {error}") from None
    if not run.get("converged"):
        text = str(run.get("error") or run.get("log") or "did not converge").strip()
        raise RunError(text.splitlines()[-1][:200])
    return {key: float(str(run[key])) for key in _SHOWN if key in run}


def by_beside(case: beside.Case, router: Router) -> Figures:
    """Run a load of ``tests.bench.beside`` once.

    Raises:
        RunError: The router or the load failed.
    """
    try:
        with changed_environment(router.variables):
            return dict(beside.run_once(router.maker, case, router.program))
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        text = str(error).strip() or type(error).__name__
        raise RunError(text.splitlines()[-1][:200]) from None


@contextmanager
def changed_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let what is started meanwhile find a router's programs."""
    before = dict(os.environ)
    os.environ.pop("PYTHONPATH", None)  # the compiled build imports its own modules
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def by_start(words: Sequence[str], router: Router) -> Figures:
    """Start one of our builds once.

    Raises:
        RunError: It did not get as far.
    """
    command = start.inside_namespace(
        [*words, "--runs", "1", "--program", router.program]
    )
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    if done.returncode:
        text = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise RunError(text[-1][:200])
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def sampled_program(folder: Path, router: Router) -> str:
    """Return what starts one of our builds with a timer that notes stalls.

    The compiled build must not find the sources of this checkout: it gets a folder with the
    tests alone.
    """
    python, path = _python_with_tests(folder, router)
    return f"env PYTHONPATH={path} {python} -P -m tests.bench.sampled"


def _python_with_tests(folder: Path, router: Router) -> tuple[str, str]:
    """Return a build's interpreter and the path on which it finds our tests."""
    if router.kind == "pure":
        return sys.executable, str(ROOT)
    tests = folder / "tests"
    if not tests.exists():
        tests.symlink_to(ROOT / "tests")
    return python_of(router.program), str(folder)


def by_stalls(run: Callable[[Router], Figures], router: Router) -> Figures:
    """Run a load under the build that notes how long its loop was away."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "stalls")
        program = sampled_program(Path(name), router)
        variables = {
            **router.variables,
            FILE_VARIABLE: str(file),
            "DUT_CMD": OURS.format(program=program),
        }
        with changed_environment(variables):
            run(router._replace(program=program))
        if not file.is_file():
            raise RunError("the daemon left no figures: it did not end by itself")
        found = json.loads(file.read_text("utf-8").splitlines()[-1])
    return {key: found[key] for key in ("max_ms", "p999_ms")}


def _recorded(file: Path) -> list[bytes]:
    return list(messages(file, Counter()))


def by_kernel(prefixes: int, router: Router) -> Figures:
    """Fill the kernel's table once: by a router, or with ready-made messages.

    Raises:
        RunError: The routes did not come.
    """
    name = router.kind if router.kind in {KERNEL, *BUILDS} else router.maker
    variables = {**router.variables, COMPILED: router.program}
    try:
        with changed_environment(variables):
            return dict(kernel.figures_of(name, prefixes))
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        text = str(error).strip() or type(error).__name__
        raise RunError(text.splitlines()[-1][:200]) from None


def _kernel(*, is_quick: bool) -> Row:
    prefixes = _QUICK["prefixes"] if is_quick else 100_000
    limit = kernel.LIMIT
    return Row(
        "kernel-alone",
        "kernel",
        f"{prefixes:,} routes into the kernel, beside the kernel's own time",
        f"fill_kernel {prefixes}",
        partial(by_kernel, prefixes),
        frozenset({KERNEL, BIRD2, "bird3", *BUILDS}),
        (Target("first_to_last_s", KERNEL, limit, limit),),
        {FRR: _FRR_HAS_NO_KERNEL},
        (1, prefixes),
    )


_FUNCTIONS: Final = """
import json
from tests.bench.core import BENCHMARKS
from tests.bench.timing import best_time
print(json.dumps({name: best_time(make().run) * 1e9 for name, make in BENCHMARKS.items()}))
"""


def by_functions(router: Router) -> Figures:
    """Time all hot functions of a build; nanoseconds per call.

    Raises:
        RunError: One of them failed.
    """
    with tempfile.TemporaryDirectory() as name:
        python, path = _python_with_tests(Path(name), router)
        done = subprocess.run(
            [python, "-P", "-c", _FUNCTIONS],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": path},
        )
    if done.returncode:
        raise RunError(done.stderr.strip().splitlines()[-1][:200])
    timed: Figures = json.loads(done.stdout)
    return {f"{name}_ns": spent for name, spent in timed.items()}


def _functions() -> Row:
    return Row(
        "functions",
        "functions",
        "hot functions, the best of five loops each",
        "tests.bench.core",
        by_functions,
        frozenset(BUILDS),
    )


class Replays:
    """Files of UPDATEs for a feeder, each made when it is first needed.

    Args:
        folder: Where they are kept.
        prefixes: Of the table that is made.
        times: Churn is repeated as often.
    """

    def __init__(self, folder: Path, prefixes: int, times: int) -> None:
        self._folder = folder
        self._prefixes = prefixes
        self._times = times
        self.made: dict[str, Callable[[], list[bytes]]] = {}
        vectors = vectors_folder()
        if vectors:
            for year, name in zip(_YEARS, CHURN, strict=True):
                file = vectors / "mrt" / name
                self.made[f"churn-{year}"] = partial(_recorded, file)
        self.made["table"] = lambda: list(a_full_table(prefixes))

    def file(self, name: str, *, is_reflected: bool) -> Path:
        """Return a file of UPDATEs."""
        file = self._folder / f"{name}{'-reflected' if is_reflected else ''}"
        if not file.is_file():
            updates = self.made[name]()
            octets = b"".join(reflected(updates) if is_reflected else updates)
            times = self._times if name.startswith("churn") else 1
            part = file.with_suffix(".part")
            part.write_bytes(octets * times)
            part.rename(file)
        return file

    def _measure(self, name: str, is_reflected: bool, router: Router) -> Figures:  # noqa: FBT001  # partial
        file = self.file(name, is_reflected=is_reflected)
        return by_compare(("full", "--replay", str(file)), router)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of recorded and made tables."""
        for name in self.made:
            for is_reflected in (False, True):
                key = f"{name}-reflected" if is_reflected else name
                is_churn = name.startswith("churn")
                title = (
                    f"churn recorded in {name[-4:]}, {self._times} times"
                    if is_churn
                    else f"a table as real ones are, {self._prefixes:,} prefixes"
                )
                amount = f"times {self._times}" if is_churn else f"{self._prefixes}"
                yield Row(
                    key,
                    "tables",
                    f"{title}, reflected once before" if is_reflected else title,
                    f"full --replay {key} ({amount})",
                    partial(self._measure, name, is_reflected),
                    targets=_TARGETS.get(key, ()),
                    shape=(1, 0 if is_churn else self._prefixes),
                )


def replayed(file: Path) -> Iterator[Row]:
    """Yield the row of a recorded session that the user names, as ``compare.py`` takes it."""
    yield Row(
        f"replay-{file.name}",
        "tables",
        f"recorded: {file.name}",
        f"full --replay {file.name} ({file.stat().st_size} octets)",
        lambda router: by_compare(("full", "--replay", str(file)), router),
        targets=_TARGETS["table-reflected"],
    )


def _quick_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return arguments of ``compare.py`` with small numbers."""
    found = list(words)
    for at, word in enumerate(found[:-1]):
        most = _QUICK.get(word.removeprefix("--"))
        if most and found[at + 1].isdigit():
            found[at + 1] = str(min(most, int(found[at + 1])))
    return tuple(found)


def _of_scenario(scenario: Scenario, *, is_quick: bool) -> Row:
    words = _quick_words(scenario.arguments) if is_quick else scenario.arguments
    numbers = {
        word.removeprefix("--"): int(value)
        for word, value in zip(words[1::2], words[2::2], strict=True)
    }
    part = {"rr": "reflector", "full": "tables", "fib": "kernel"}[words[0]]
    left_out = {}
    if words[0] == "fib":
        left_out = {FRR: _FRR_HAS_NO_KERNEL}
    elif numbers.get("inflight") == 0:
        left_out = dict.fromkeys((BIRD2, "bird3"), _NOT_ALL_AT_ONCE)
    targets = tuple(
        Target(t.key, BIRD2 if t.rival == "bird" else t.rival, t.limit, t.limit)
        for t in scenario.targets
    )
    shape = (
        (numbers.get("clients", 1), numbers.get("blocks", 4))
        if words[0] == "rr"
        else (1, numbers["prefixes"])
    )
    key = "-".join(word.removeprefix("--") for word in words)
    return Row(
        key,
        part,
        scenario.name,
        " ".join(words),
        lambda router: by_compare(words, router),
        ALL - {*left_out},
        _TARGETS.get(scenario.name, targets),
        left_out,
        shape,
    )


def _of_case(name: str, case: beside.Case, *, is_quick: bool) -> Row:
    if is_quick:
        small = {
            key: min(_QUICK.get(key, value), value) if isinstance(value, int) else value
            for key, value in case.parameters.items()
        }
        case = case._replace(parameters=small)
    style = "" if case.style == "reflector" else f"{case.style} "
    without = OTHERS if case.has_frr else OTHERS - {FRR}
    is_long = bool(style) or int(case.parameters.get("seconds", 0)) > 30
    left_out = {} if FRR in without else {FRR: "not set up for this load"}
    return Row(
        name,
        "beside",
        case.title,
        f"{style}{case.load} {json.dumps(case.parameters)}",
        lambda router: by_beside(case, router),
        without | {*BUILDS},
        _targets_of(case.targets),
        left_out,
        (
            int(case.parameters.get("peers", 1)),
            int(case.parameters.get("prefixes", 0)),
        ),
        1 if is_long else 9,
    )


def _targets_of(targets: Iterable[beside.Target]) -> tuple[Target, ...]:
    """Return the targets of a load of ``tests.bench.beside``."""
    return tuple(
        Target(
            t.key,
            BIRD2 if t.rival == "bird" else t.rival,
            t.compiled or t.limit,
            t.limit,
        )
        for t in targets
    )


def _of_start(number: int, case: start.Case) -> Row:
    title, nodes, blocks, opened = case
    return Row(
        f"start-{nodes}x{blocks}",
        "start",
        title,
        f"{nodes} nodes, {blocks} blocks",
        partial(by_start, ("--case", str(number))),
        frozenset(BUILDS),
        (
            Target("opened_s", "", opened, opened),
            Target("announced_s", "", start.ANNOUNCED_TARGET, start.ANNOUNCED_TARGET),
        ),
    )


def _of_reflector_start() -> Row:
    opened, shown = start.REFLECTOR_OPEN_TARGET, start.COMMAND_TARGET
    return Row(
        "start-reflector",
        "start",
        "a reflector without a datastore, and pybgpctl show peers, cold",
        "a reflector",
        partial(by_start, ("--reflector",)),
        frozenset(BUILDS),
        (
            Target("opened_s", "", opened, opened),
            Target("piped_s", "", shown, shown),
            Target("drawn_s", "", shown, shown),
        ),
    )


def _of_stalls(row: Row) -> Row:
    return row._replace(
        key=f"stalls-{row.key}",
        part="stalls",
        measure=lambda router: by_stalls(row.measure, router),
        kinds=frozenset(BUILDS),
        targets=(Target("max_ms", "", STALL_LIMIT, STALL_LIMIT),),
        left_out={},
    )


def all_rows(
    folder: Path, *, is_quick: bool = False, replay: Path | None = None
) -> list[Row]:
    """Return the rows, in the order of the page.

    Args:
        folder: For files that feeders send.
        is_quick: Small loads, to try the report itself.
        replay: A recorded session of the user's own.
    """
    prefixes, times = (5_000, 1) if is_quick else (1_000_000, 10)
    loads = [
        *Replays(folder, prefixes, times).rows(),
        *(replayed(replay) if replay else ()),
        *(_of_scenario(it, is_quick=is_quick) for it in SCENARIOS),
        *(_of_case(name, it, is_quick=is_quick) for name, it in beside.CASES.items()),
    ]
    if is_quick:
        loads = [row._replace(title=f"{row.title} (quick)") for row in loads]
    loads.append(_kernel(is_quick=is_quick))
    order = ("tables", "reflector", "beside", "kernel")
    loads.sort(key=lambda row: order.index(row.part))
    return [
        *loads,
        _of_reflector_start(),
        *(_of_start(number, case) for number, case in enumerate(start.CASES)),
        *(
            _of_stalls(row)
            for row in loads
            if not {*row.key.split("-")} & {"alone", "idle"}
        ),
        _functions(),
    ]
