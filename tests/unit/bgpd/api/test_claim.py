"""One daemon at a time has a control path."""

import socket
import subprocess
import sys

import pytest

from bgpd.api.claim import Claim, ClaimError


def test_of_two_daemons_one_has_the_path_until_it_gives_it_up(tmp_path) -> None:
    path = str(tmp_path / "run" / "pybgpd.sock")
    first = Claim(path)
    with pytest.raises(ClaimError, match=r"another daemon uses it.*--control"):
        Claim(path)
    other = Claim(str(tmp_path / "run" / "other.sock"))
    first.release()
    first.release()
    again = Claim(path)
    for claim in (other, again):
        claim.release()


def test_the_end_of_a_process_gives_it_up_however_it_ends(tmp_path) -> None:
    path = str(tmp_path / "pybgpd.sock")
    code = (
        "import signal, sys; from bgpd.api.claim import Claim\n"
        "claim = Claim(sys.argv[1]); print('has it', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(ClaimError):
            Claim(path)
        holder.kill()
        holder.wait()
    Claim(path).release()


def test_a_daemon_without_the_lock_is_found_by_its_socket(tmp_path) -> None:
    path = str(tmp_path / "pybgpd.sock")
    with socket.socket(socket.AF_UNIX) as older:
        older.bind(path)
        older.listen(0)
        with pytest.raises(ClaimError, match="another daemon listens there"):
            Claim(path)
        # The first look still waits, and its backlog is full: it is busy, and there.
        with pytest.raises(ClaimError, match="another daemon listens there"):
            Claim(path)
    Claim(path).release()  # what it left behind has no owner


@pytest.mark.parametrize("what", ["file", "link"])
def test_what_cannot_be_locked_is_not_claimed_and_follows_no_link(
    tmp_path, what
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    folder = tmp_path / "run"
    if what == "file":
        folder.write_text("no folder")
    else:
        folder.mkdir()
        (folder / "pybgpd.lock").symlink_to(victim)
    Claim(str(folder / "pybgpd.sock")).release()
    assert victim.read_text() == "kept"


def test_without_a_path_there_is_no_claim() -> None:
    first, second = Claim(""), Claim("")
    for claim in (first, second):
        claim.release()
