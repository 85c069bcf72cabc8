"""The page's scripts have no build step; their types stand in comments, and are checked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # 3 s

CHECKER = "tsc"  # Debian's package node-typescript
SETTINGS = Path(__file__).with_name("jsconfig.json")


def test_the_types_in_the_comments_of_the_scripts_are_right() -> None:
    if shutil.which(CHECKER) is None and os.environ.get("CI") != "true":
        pytest.skip("tsc is not installed (Debian's package node-typescript)")
    found = subprocess.run(
        [CHECKER, "--project", str(SETTINGS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.stdout.splitlines() == []
    assert found.returncode == 0
