"""``make mutants``: whether the tests see each small change of the routing core.

Every module of ``PLAN`` is mutated by mutmut in a copy of the tree of its own, below
``build/mutants``, and the tests that belong to it run against each mutant. A mutant that
they let pass must stand in ``survivors.toml`` with the reason why it is harmless, in a row
of its own. It fails for a survivor without one, for a row that no survivor needs, and
for too many survivors.
"""

import argparse
import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
COPIES: Final = ROOT / "build" / "mutants"
MOST_SURVIVORS: Final = 0.03  # of all mutants

_SHORT_WAYS: Final = "tests/property/test_short_ways.py"
_ADJ_RIB_IN: Final = (
    "tests/unit/rib/test_admission.py",
    "tests/unit/rib/test_adj_rib_in.py",
    "tests/unit/rib/test_adj_rib_in_again.py",
    "tests/unit/rib/test_adj_rib_in_batches.py",
    "tests/property/test_adj_rib_in.py",
)
_REFLECTOR: Final = ("tests/unit/reflector", _SHORT_WAYS)
_GROUP: Final = (*_REFLECTOR, "tests/property/test_group_shares.py")
PLAN: Final[Mapping[str, tuple[str, ...]]] = {
    "rib/best_path.py": ("tests/unit/rib/test_best_path.py", _SHORT_WAYS),
    "rib/decision.py": (
        "tests/unit/rib/test_decision.py",
        "tests/property/test_decision.py",
        _SHORT_WAYS,
    ),
    "rib/path_set.py": ("tests/unit/rib/test_path_set.py", _SHORT_WAYS),
    "reflector/plain_reflection.py": _GROUP,
    "reflector/flush.py": _GROUP,
    "reflector/export.py": (*_REFLECTOR, "tests/conformance/rfc4456"),
    "reflector/advertised_limit.py": ("tests/unit/reflector/test_advertised_limit.py",),
    "reflector/as_path.py": ("tests/unit/reflector/test_as_path.py",),
    "reflector/rewrite.py": (*_REFLECTOR, "tests/conformance/rfc4456"),
    "reflector/pacing.py": ("tests/unit/reflector/test_pacing.py",),
    "reflector/pending.py": _REFLECTOR,
    "reflector/path_ids.py": _REFLECTOR,
    "rib/import_checks.py": (
        "tests/unit/rib/test_import_checks.py",
        "tests/unit/rib/test_adj_rib_in.py",
        "tests/unit/rib/test_adj_rib_in_batches.py",
        _SHORT_WAYS,
    ),
    "rib/destinations.py": ("tests/unit/rib/test_destinations.py",),
    "rib/ignored.py": (
        "tests/unit/rib/test_ignored.py",
        "tests/unit/rib/test_adj_rib_in.py",
        "tests/unit/rib/test_admission.py",
    ),
    "rib/zones.py": ("tests/unit/rib/test_zones.py",),
    "rib/admission.py": ("tests/unit/rib/test_admission.py",),
    "rib/outcome.py": (
        "tests/unit/rib/test_adj_rib_in.py",
        "tests/unit/rib/test_adj_rib_in_again.py",
        "tests/unit/rib/test_adj_rib_in_batches.py",
        _SHORT_WAYS,
    ),
    "rib/outcome_memo.py": _ADJ_RIB_IN,
    "rib/long_lived.py": _ADJ_RIB_IN,
    "rib/reimport.py": _ADJ_RIB_IN,
    "rib/adj_rib_in.py": (*_ADJ_RIB_IN, _SHORT_WAYS),
    "rib/loc_rib.py": (
        "tests/unit/rib/test_loc_rib.py",
        "tests/unit/rib/test_loc_rib_batches.py",
        "tests/unit/rib/test_loc_rib_decisions.py",
        "tests/unit/rib/test_loc_rib_reads.py",
        "tests/property/test_loc_rib.py",
    ),
    "reflector/member_fsm.py": (
        "tests/unit/reflector/test_member_fsm.py",
        "tests/unit/reflector/test_walks.py",
        "tests/unit/reflector/test_group_history.py",
    ),
    "reflector/walks.py": (
        "tests/unit/reflector/test_walks.py",
        "tests/unit/reflector/test_group_history.py",
    ),
    "reflector/group.py": (*_GROUP, "tests/property/test_group.py"),
}
"""Module -> the tests that must notice; quick ones, since each mutant runs them all."""

# Not what the tests of a mutant read or run, and large.
_LEFT_OUT: Final = (".ci/", "tests/root/", "tests/interop/", "tests/etcd/")
_ALIVE: Final = 0  # exit codes that mutmut keeps
_KILLED: Final = (1, 3)
_WITHOUT_TESTS: Final = (5, 33)
_OUT_OF_TIME: Final = (-24, 24, 36, 152, 255)


class Mutant(NamedTuple):
    """One change that the tests did not notice.

    Attributes:
        function: Its dotted name.
        removed: The line that was changed, without indentation.
        added: What stands there instead.
    """

    function: str
    removed: str
    added: str


class Outcome(NamedTuple):
    """What became of one module's mutants."""

    total: int
    killed: int
    out_of_time: int
    alive: tuple[Mutant, ...]


def copy_tree(target: Path) -> None:
    """Bring a copy of what is under version control, or would be, up to date."""
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source = ROOT / name
        if name.startswith(_LEFT_OUT) or not source.is_file():
            continue
        copy = target / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)


def configure(target: Path, module: str, tests: Iterable[str]) -> None:
    """Tell mutmut what to mutate, and by which tests."""
    others = [
        path.name
        for path in target.iterdir()
        if path.name not in ("mutants", "tests") and not path.name.startswith(".")
    ]
    rows = {
        "source_paths": [module.split("/", maxsplit=1)[0]],
        "only_mutate": [module],
        "also_copy": others,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist"],
        "pytest_add_cli_args_test_selection": [*tests],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
    file = target / "pyproject.toml"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = "\n".join(["", "[tool.mutmut]", *lines, ""])
    file.write_text(text + table, encoding="utf-8")


def mutmut(target: Path, *command: str, **options: object) -> str:
    """Run mutmut in a copy; return what it says."""
    program = Path(sys.executable).with_name("mutmut")
    done = subprocess.run(
        (str(program), *command),
        cwd=target,
        env={**os.environ, "HYPOTHESIS_PROFILE": "quick", "CI": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"mutmut {' '.join(command)}: {done.stdout[-4000:]}{done.stderr}"
        )
    return done.stdout


def changes_of(mutated: str, names: Iterable[str]) -> Iterator[Mutant]:
    """Say what each mutant changes, by its function and the original's beside it.

    Args:
        mutated: The module that mutmut made.
        names: Of mutants.
    """
    lines = mutated.splitlines()
    functions = {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(mutated))
        if isinstance(node, ast.FunctionDef)
    }
    for name in names:
        mangled, function = name.rpartition(".")[2], function_of(name)
        original = f"{mangled.rpartition('__mutmut_')[0]}__mutmut_orig"
        before, after = (
            [
                text.replace(each, function.rpartition(".")[2])
                for text in functions[each]
            ]
            for each in (original, mangled)
        )
        sides: tuple[list[str], list[str]] = ([], [])
        for line in list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]:
            if line[0] in "-+":
                sides[line[0] == "+"].append(line[1:].strip())
        removed, added = (" ".join(side) for side in sides)
        yield Mutant(function, removed, added)


def function_of(name: str) -> str:
    """Return the dotted name of a mutant's function.

    ``rib.path_set.xǁPathSetǁranking__mutmut_1`` is ``rib.path_set.PathSet.ranking``.
    """
    module, _, mangled = name.rpartition(".")
    function = mangled.rpartition("__mutmut_")[0]
    bare = function.removeprefix("xǁ") if "ǁ" in function else function[2:]
    return f"{module}.{bare.replace('ǁ', '.')}"


def forget(target: Path, module: str, *, is_resumed: bool) -> None:
    """Let all mutants be tried again, or those alone that were not killed."""
    results = target / "mutants" / f"{module}.meta"
    if not is_resumed or not results.exists():
        shutil.rmtree(target / "mutants", ignore_errors=True)
        return
    kept = json.loads(results.read_text())
    codes = kept["exit_code_by_key"]
    kept["exit_code_by_key"] = {
        name: code if code in _KILLED else None for name, code in codes.items()
    }
    results.write_text(json.dumps(kept))
    for stats in (target / "mutants").glob("mutmut-stats.json"):
        stats.unlink()  # tests may have changed


def try_module(
    module: str, workers: int, part: str = "", *, is_resumed: bool
) -> Outcome:
    """Mutate one module, and return what its tests let pass.

    Args:
        module: A row of ``PLAN``.
        workers: Mutants at once.
        part: Only mutants whose number ends in one of these digits; empty for all.
        is_resumed: Only those that were not killed before.
    """
    target = COPIES / module.removesuffix(".py").replace("/", "-")
    target.mkdir(parents=True, exist_ok=True)
    copy_tree(target)
    forget(target, module, is_resumed=is_resumed)
    configure(target, module, PLAN[module])
    names = [f"*__mutmut_*{digit}" for digit in part]
    mutmut(target, "run", "--max-children", str(workers), *names)
    results = json.loads((target / "mutants" / f"{module}.meta").read_text())
    codes: dict[str, int | None] = {
        name: code
        for name, code in results["exit_code_by_key"].items()
        if not part or name[-1] in part
    }
    odd = {
        name: code
        for name, code in codes.items()
        if code not in (_ALIVE, *_KILLED, *_WITHOUT_TESTS, *_OUT_OF_TIME)
    }
    if odd:
        raise SystemExit(f"{module}: not judged: {odd}")
    left = [name for name, code in codes.items() if code in (_ALIVE, *_WITHOUT_TESTS)]
    mutated = (target / "mutants" / module).read_text(encoding="utf-8")
    alive = tuple(changes_of(mutated, left))
    late = sum(code in _OUT_OF_TIME for code in codes.values())
    return Outcome(len(codes), len(codes) - len(alive) - late, late, alive)


def explained() -> list[tuple[Mutant, str]]:
    """Return the survivors that are known to be no fault, each with its reason.

    Equal changes of equal lines of one function are as many rows.
    """
    rows = tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get("survivor", [])
    return [
        (Mutant(row["function"], row["removed"], row["added"]), row["reason"])
        for row in rows
    ]


def as_toml(mutant: Mutant) -> str:
    """Return a row for the list, its reason to be filled in."""
    rows = (f"{key} = {json.dumps(value)}" for key, value in mutant._asdict().items())
    return "\n".join(("[[survivor]]", *rows, 'reason = ""', ""))


def is_of(mutant: Mutant, module: str) -> bool:
    """Tell whether a mutant is of a row of ``PLAN``."""
    return mutant.function.startswith(
        f"{module.removesuffix('.py')}.".replace("/", ".")
    )


def report(
    outcomes: Iterable[tuple[str, Outcome]],
    rows: Iterable[tuple[Mutant, str]],
    *,
    is_part: bool = False,
) -> int:
    """Say of each module at once what came of it, then of all; return the exit code.

    Args:
        outcomes: Of each module, as it is tried.
        rows: The survivors that are known, each with its reason.
        is_part: Not all mutants were tried: rows may be of the others.
    """
    write = sys.stdout.write
    listed = Counter(mutant for mutant, reason in rows if reason.strip())
    new: Counter[Mutant] = Counter()
    idle: Counter[Mutant] = Counter()
    tried, total, survivors = set(), 0, 0
    for module, (count, killed, late, left) in outcomes:
        alive = Counter(left)
        known = Counter({row: n for row, n in listed.items() if is_of(row, module)})
        new += alive - known
        idle += known - alive
        write(
            f"{module}: {count} mutants, {killed} killed, {late} out of time,"
            f" {len(left)} alive ({share_of(len(left), count)}),"
            f" {(alive & known).total()} explained\n"
        )
        sys.stdout.flush()  # all of them take an hour
        tried.add(module)
        total, survivors = total + count, survivors + len(left)
    if is_part:
        idle.clear()
    for mutant in idle.elements():
        write(f"listed, but killed or gone: {mutant.function}: {mutant.added}\n")
    for mutant in new.elements():
        write(f"\n{as_toml(mutant)}")
    share = share_of(survivors, total)
    write(f"\nall: {survivors} of {total} mutants survive ({share})\n")
    if new:
        write(f"{new.total()} of them are not explained in {SURVIVORS.name}\n")
    if idle:
        write(f"{idle.total()} rows of {SURVIVORS.name} are of no survivor\n")
    are_many = tried == PLAN.keys() and survivors > MOST_SURVIVORS * total
    if are_many:
        write(f"more than {MOST_SURVIVORS:.0%} survive\n")
    return int(bool(new or idle) or are_many)


def share_of(count: int, total: int) -> str:
    """Return a share to be read; of nothing, nothing."""
    return f"{count / total if total else 0:.1%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the modules asked for, all of them by default; return the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="FILE", help="such as rib/best_path.py"
    )
    parser.add_argument(
        "--resume", action="store_true", help="try those alone that were not killed"
    )
    parser.add_argument(
        "--part",
        default="",
        metavar="DIGITS",
        help="only mutants whose number ends in one of them: a tenth of all for each",
    )
    parser.add_argument("--workers", type=int, default=1, help="mutants at once (1)")
    chosen = parser.parse_args(arguments)
    unknown = [module for module in chosen.modules if module not in PLAN]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(PLAN)}")
    outcomes = (
        (
            module,
            try_module(module, chosen.workers, chosen.part, is_resumed=chosen.resume),
        )
        for module in chosen.modules or PLAN
    )
    return report(outcomes, explained(), is_part=bool(chosen.part))


if __name__ == "__main__":
    sys.exit(main())
