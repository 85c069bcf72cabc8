"""A slice of ``tests.soak.texts``: mutated texts against a running node."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.mark.parametrize(
    ("what", "count"), [("manifests", 600), ("configurations", 200)]
)
def test_no_mutated_text_ends_a_node_or_keeps_a_sound_one_out(
    what: str, count: int
) -> None:
    command = [sys.executable, "-m", "tests.soak.texts", what]
    outcome = subprocess.run(
        [*command, "--count", str(count), "--seed", "7", "--batch", "200"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert f"{count} texts" in outcome.stdout
