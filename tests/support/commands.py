"""Commands in processes of their own, such as pytest within a test."""

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.support.generated import ROOT

FAST: Final = "not slow and not root and not interop and not etcd"


def run(*command: str, cwd: Path = ROOT, timeout: float = 800, **variables: str) -> str:
    """Run a command that must succeed; return what it says.

    Args:
        command: A program and its arguments.
        cwd: Where it runs.
        timeout: Seconds it may take.
        variables: Of its environment, beside ours; those of the pytest that runs are
            left out, so that it can be pytest too.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=kept | variables,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout
