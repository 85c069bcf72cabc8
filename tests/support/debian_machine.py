"""A machine of Debian's that boots: systemd as the first process of namespaces of its own.

Its files are those of ``.ci/debian-root`` with a file system in memory over them, so that nothing is
left when it ends. It has the kernel of this machine and no network beside what a test makes.
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pybgpd-tests"
)
# Arguments: the root below, a folder to mount on, a folder to be seen as /srv.
_BOOT: Final = """
set -e
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t tmpfs tmpfs run
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount --bind "$3" srv
exec chroot . env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd systemd.unit=multi-user.target
"""
_NAMESPACES: Final = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")


def suite() -> str:
    """Return the name of this machine's suite of Debian, or an empty text."""
    release = Path("/etc/os-release")
    text = release.read_text(encoding="utf-8") if release.exists() else ""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return pairs.get("VERSION_CODENAME", "").strip('"')


def root() -> Path:
    """Return where ``.ci/debian-root`` has put the files of the machine."""
    return CACHE / "debian" / (suite() or "none")


needs_debian_root = pytest.mark.skipif(
    os.geteuid() != 0 or not root().exists(),
    reason=f"boots a machine: needs root, and {root()} of .ci/debian-root",
)


class DebianMachine:
    """A machine that runs while the context lasts.

    Args:
        mount: An empty folder; the machine's files are mounted there, for it alone.
        shared: A folder that it sees as ``/srv``.
    """

    def __init__(self, mount: Path, shared: Path) -> None:
        self._mount, self._shared = mount, shared
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        flags = ("--fork", "--kill-child", *_NAMESPACES)
        folders = (str(root()), str(self._mount), str(self._shared))
        self._process = subprocess.Popen(
            ("unshare", *flags, "/bin/sh", "-c", _BOOT, "boot", *folders),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.until(lambda: self._state() in {"running", "degraded"}, 60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if error is not None and self._process.poll() is None:
            journal = self._enter("journalctl", "--no-pager", "--lines=60").stdout
            error.add_note(f"its journal:\n{journal}")
        self._process.kill()  # and with it its child, the first process of the machine
        said, _ = self._process.communicate(timeout=20)
        if error is not None:
            error.add_note(f"it said:\n{said[-2000:]}")

    @property
    def _first_process(self) -> str:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return children.split()[0] if children else ""

    def _enter(self, *command: str) -> subprocess.CompletedProcess[str]:
        flags = (f"--target={self._first_process}", "--all", "--root", "--wd")
        clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        return subprocess.run(
            ("nsenter", *flags, *clean, *command),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def _state(self) -> str:
        assert self._process is not None
        assert self._process.poll() is None, "the machine ended"
        if not self._first_process:
            return ""
        return self._enter("systemctl", "is-system-running").stdout.strip()

    def run(self, *command: str) -> str:
        """Run a command on the machine that must succeed; return what it says."""
        done = self._enter(*command)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def fails(self, *command: str) -> bool:
        """Run a command on the machine; return whether it failed."""
        return self._enter(*command).returncode != 0

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        name = self._shared / "written"
        name.write_text(text, encoding="utf-8")
        self.run("install", "-D", "-m", "644", f"/srv/{name.name}", path)

    def on_its_network(self, *command: str) -> tuple[str, ...]:
        """Return a command of this machine that runs on the network of the other."""
        return ("nsenter", f"--target={self._first_process}", "--net", *command)

    def unit(self, name: str, setting: str) -> str:
        """Return what systemd says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={setting}", name)

    def until(self, predicate: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not predicate():
            assert time.monotonic() < deadline, "did not come true in time"
            time.sleep(0.05)
