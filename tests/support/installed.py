"""Programs as users install them, run outside of the checkout."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.generated import ROOT
from tests.support.speakers import own_network

PORT: Final = 17934


def clean(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a user who has only what the system has."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables}


def outside(folder: Path, *command: object, **variables: str) -> str:
    words = [str(word) for word in command]
    environment = clean(folder, **variables)
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_programs(
    folder: Path, build: str, pybgpd: Sequence[object], pybgpctl: Sequence[object]
) -> None:
    """Let both programs tell their version, check a file, and reflect."""
    for name, program in (("pybgpd", pybgpd), ("pybgpctl", pybgpctl)):
        assert outside(folder, *program, "--version").startswith(f"{name} 0.")
        assert f"({build}, " in outside(folder, *program, "--version")
    example = ROOT / "configs" / "reflector.yaml"
    assert outside(folder, *pybgpd, "check", example).endswith("valid\n")
    network, control = own_network(), folder / "control.sock"
    words = [*pybgpd, "reflector", "--listen", f"{network}.1", "--port", PORT]
    words += ["--as", 64512, "--router-id", "10.0.0.1", "--clients", f"{network}.0/24"]
    words += ["--control", control]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=folder,
            env=clean(folder),
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 20
        while " started: " not in (folder / "log").read_text(encoding="utf-8"):
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        asked = ("--control", control, "show", "status", "-o", "json")
        said = json.loads(outside(folder, *pybgpctl, *asked))
        assert (said["router_id"], said["build"]) == ("10.0.0.1", build)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
