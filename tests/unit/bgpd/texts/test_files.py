import os
import socket
from pathlib import Path

import pytest

from bgpd.texts.files import NoFileError, read_octets, read_text
from bgpd.texts.limits import LimitError, TextError


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (a_fifo, "a FIFO"),
        (a_socket, "a socket"),
        (a_folder, "a folder"),
        (a_device, "a device"),
    ],
)
def test_only_regular_files_are_read(make, what, tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path)
    for read in (read_octets, read_text):
        with pytest.raises(NoFileError) as caught:
            read(path, 100)
        assert str(caught.value) == f"is {what}; expected a regular file"


def test_a_link_to_a_file_is_followed_unless_forbidden(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link", 100) == "text"
    with pytest.raises(NoFileError):
        read_text(tmp_path / "link", 100, follows=False)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_octets(path, 5) == b"12345"
    with pytest.raises(LimitError, match="has 5 octets; the limit is 4"):
        read_octets(path, 4)
    os.truncate(path, 10 << 30)  # ten gigabytes of nothing
    with pytest.raises(LimitError, match="has 10737418240 octets"):
        read_octets(path, 1 << 20)


def test_a_file_that_tells_no_size_is_read_up_to_the_limit() -> None:
    assert read_text("/proc/self/status", 1 << 20).startswith("Name:")
    with pytest.raises(LimitError, match="more than 10 octets"):
        read_octets("/proc/self/status", 10)


def test_a_missing_file_and_one_in_another_encoding_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_octets(tmp_path / "none", 5)
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(TextError, match="octet 3 is 0xe9"):
        read_text(tmp_path / "latin", 5)
