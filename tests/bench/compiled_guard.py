"""``make bench-guard`` for the compiled build: its machine instructions, counted instead of timed.

A compiled function takes no instructions of the interpreter. What is counted for one run of each
benchmark are the instructions that the processor executes within our own extension module, and
the calls out of it, into Python's C API for the most part. valgrind counts them, one by one, so that
they are exactly the same in each run. They do not depend on how Python was built, or on the
processor; they do on the compiler and on mypyc, which therefore name the figures.

As in the guard of the pure build, what happens within a call is not seen; benchmarks that do not
enter a compiled module are left out.
"""

import gc
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bgpd.runtime.build import build
from tests.bench.core import BENCHMARKS
from tests.bench.guard import VERSION, WARM_UP, Counts, arguments, judge

FILE: Final = Path(__file__).with_name("compiled_guard.json")
ROOT: Final = Path(__file__).parents[2]
MODULE: Final = "pybgpd__mypyc"  # it holds the code of all compiled modules
# Two functions of libc that nothing else calls, and at whose calls valgrind writes what it has
# counted since the last time.
BEFORE, AFTER = "getppid", "getpgrp"
_NAME: Final = re.compile(r"\((\d+)\)(?: (.*))?")


def run_all() -> None:
    """Run each benchmark, with a mark before and after the run that counts."""
    if build() != "compiled":
        sys.exit("this is not the compiled build")
    gc.disable()  # it would visit our objects at other moments each time
    for prepare in BENCHMARKS.values():
        run = prepare().run
        for _ in range(WARM_UP):
            run()
        os.getppid()
        run()
        os.getpgrp()


def counted(lines: Iterator[str], module: str = MODULE) -> Counts:
    """Return what a module took, by a file of callgrind.

    A line is a cost of the function that the last ``ob=`` and ``fn=`` name, in the form ``POSITION
    COST``; the one after ``calls=`` is that of the called function, whose file ``cob=`` names where it
    is another one. A name is written once, and later only its number.
    """
    names: dict[str, str] = {}
    instructions = calls = 0
    within = target = ""
    for line in lines:
        key, _, value = line.rstrip().partition("=")
        if key in {"ob", "cob"} and (found := _NAME.fullmatch(value)):
            if found[2] is not None:
                names[found[1]] = found[2]
            target = names[found[1]]
            if key == "ob":
                within = target
        elif key == "calls":
            if module in within and module not in target:
                calls += int(value.split()[0])
            target = within
            next(lines)
        elif key[:1] in "0123456789+-*" and key and module in within:
            instructions += int(key.split()[1])
    return Counts(instructions, calls)


def count_all(folder: Path) -> dict[str, Counts]:
    """Return the counts of all benchmarks that enter a compiled module.

    Args:
        folder: Empty; the compiled build and valgrind's files go there.
    """
    tree = folder / "tree"
    compiling = (str(ROOT / ".ci" / "compile"), sys.executable, str(tree))
    subprocess.run(compiling, check=True)
    subprocess.run(
        (
            *("valgrind", "--quiet", "--tool=callgrind"),
            *(f"--dump-before={BEFORE}", f"--dump-before={AFTER}"),
            f"--callgrind-out-file={folder / 'counts'}",
            *(sys.executable, "-m", "tests.bench.compiled_guard", "--inside"),
        ),
        check=True,
        cwd=tree,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )
    found = {}
    for number, name in enumerate(BENCHMARKS, 1):
        with (folder / f"counts.{2 * number}").open(encoding="utf-8") as lines:
            counts = counted(iter(lines))
        if counts.instructions:
            found[name] = counts
    return found


def main() -> int:
    """Check the figures, or measure and write them again; return the exit code."""
    if sys.argv[1:] == ["--inside"]:
        run_all()
        return 0
    wanted = arguments(__doc__)
    for program in ("valgrind", "gcc"):
        if shutil.which(program) is None:
            sys.stdout.write(
                f"the compiled build is not guarded here: {program} is not installed\n"
            )
            return 0
    compiler = subprocess.check_output(("gcc", "-dumpversion"), text=True).strip()
    mypyc = ".".join(version("mypy").split(".")[:2])
    name = f"{VERSION}, gcc {compiler}, mypyc {mypyc}, {platform.machine()}"
    with tempfile.TemporaryDirectory() as folder:
        found = count_all(Path(folder))
    return judge(FILE, name, found, update=wanted.update)


if __name__ == "__main__":
    sys.exit(main())
