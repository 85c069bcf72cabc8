"""Who may do what: tokens, hosts, sites, certificates."""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.api import access, tls
from bgpd.api.access import Caller, OpenAccess, TokenAccess, TokenFile
from bgpd.api.client import Remote, UnreachableError, call
from bgpd.api.protocol import ControlError, Rights
from bgpd.api.tls import ServerTls
from tests.support.api_places import ApiPlace

READ, FULL = "read-0123456789abcdef", "full-0123456789abcdef"


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK_AGAIN", 0)
    monkeypatch.setattr(tls, "LOOK_AGAIN", 0)


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[Path, Path]:
    read, full = tmp_path / "read", tmp_path / "full"
    read.write_text(f"{READ}\n")
    full.write_text(FULL)
    return read, full


def by_token(tokens: tuple[Path, Path], loopback: Rights) -> TokenAccess:
    read, full = tokens
    return TokenAccess(TokenFile(str(read)), TokenFile(str(full)), loopback)


def rights(
    tokens: tuple[Path, Path],
    loopback: Rights = Rights.READ,
    address: str = "127.0.0.1",
    **headers: str,
) -> str:
    found = by_token(tokens, loopback)
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        return found.rights(Caller(headers, address, "http")).name
    except ControlError as error:
        return error.code


LOCAL = {"Host": "127.0.0.1:8080"}
ELSEWHERE = {"address": "10.0.0.9", "Host": "node-1:8080"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({**LOCAL}, "READ"),
        ({"Host": "localhost"}, "READ"),
        ({"Host": "[::1]:8080", "address": "::1"}, "READ"),
        ({"Host": "[::1]:8080", "address": "::ffff:127.0.0.1"}, "READ"),
        ({**LOCAL, "loopback": Rights.FULL}, "FULL"),
        ({**LOCAL, "loopback": Rights.NONE}, "no-token"),
        ({**LOCAL, "X_Forwarded_For": "1.2.3.4"}, "no-token"),
        ({**LOCAL, "Forwarded": "for=1.2.3.4"}, "no-token"),
        ({**ELSEWHERE}, "no-token"),
        ({"Host": "evil.example", "loopback": Rights.FULL}, "forbidden-host"),
        ({"Host": "127.0.0.1.evil.example"}, "forbidden-host"),
        ({"Host": "localhost.evil.example"}, "forbidden-host"),
        ({"Host": "[::1"}, "forbidden-host"),
        ({"Host": ""}, "forbidden-host"),
        ({}, "forbidden-host"),
        ({**LOCAL, "Origin": "http://127.0.0.1:8080"}, "READ"),
        ({**LOCAL, "Origin": "http://127.0.0.1:9090"}, "cross-site"),
        ({**LOCAL, "Origin": "http://evil.example"}, "cross-site"),
        ({**LOCAL, "Origin": "null"}, "cross-site"),
        ({**LOCAL, "Sec_Fetch_Site": "cross-site"}, "cross-site"),
        ({**LOCAL, "Sec_Fetch_Site": "same-site"}, "cross-site"),
        ({**LOCAL, "Sec_Fetch_Site": "same-origin"}, "READ"),
        ({**ELSEWHERE, "Authorization": f"Bearer {READ}"}, "READ"),
        ({**ELSEWHERE, "Authorization": f"bearer {FULL}"}, "FULL"),
        ({**ELSEWHERE, "Authorization": f"Bearer {FULL}x"}, "wrong-token"),
        ({**ELSEWHERE, "Authorization": f"Bearer {FULL[:-1]}"}, "wrong-token"),
        ({**ELSEWHERE, "Authorization": FULL}, "wrong-token"),
        ({**ELSEWHERE, "Authorization": "Bearer"}, "wrong-token"),
        ({**ELSEWHERE, "Authorization": f"Basic {FULL}"}, "wrong-token"),
        ({**LOCAL, "Authorization": "Bearer wrong"}, "wrong-token"),
    ],
)
def test_rights_by_place_and_token(
    tokens: tuple[Path, Path], asked: dict[str, Any], found: str
) -> None:
    assert rights(tokens, **asked) == found


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    class Known(TokenFile):
        def look(self) -> None:
            self._token = FULL.encode()

    known = Known("")
    octets = text.encode("utf-8", "surrogatepass")
    assert known.matches(octets) == (octets == FULL.encode())


def test_a_changed_token_counts_and_a_bad_one_is_reported_once(
    tokens: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    file = TokenFile(str(tokens[0]))
    assert file.matches(READ.encode())
    for content, fault in (
        ("new-0123456789abcdef", ""),
        ("", "at least 16"),
        ("short", "at least 16"),
        ("x" * 5000, "limit is 4096"),
    ):
        tokens[0].write_text(content)
        assert file.matches(content.encode()) == (not fault)
        assert not file.matches(READ.encode())
        assert fault in file.fault
    tokens[0].unlink()
    for _ in range(3):
        assert not file.matches(READ.encode())
    assert caplog.text.count("No such file") == 1
    os.mkfifo(tokens[0])
    assert not file.matches(READ.encode())
    assert "FIFO" in file.fault


def certificate(folder: Path, name: str) -> tuple[str, str]:
    cert, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
         "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


def overwrite(file: str, text: str) -> None:
    Path(file).write_text(text)


def serve_tls(
    tmp_path: Path, tokens: tuple[Path, Path], talk: Any, **more: Any
) -> None:
    cert, key = certificate(tmp_path, "server")

    async def main() -> None:
        place = ApiPlace(
            "127.0.0.1",
            {"show-status": lambda _: {"as": 42}, "reload": lambda _: {"lines": []}},
            access=by_token(tokens, Rights.NONE),
            tls=ServerTls(cert, key),
            **more,
        )
        await place.start()
        await talk(place, cert, key)
        await place.close()

    asyncio.run(main())


@pytest.mark.slow
def test_pybgpctls_client_comes_by_tls_with_a_token(
    tmp_path: Path, tokens: tuple[Path, Path]
) -> None:
    def ask(url: str, cert: str) -> None:
        remote = Remote(url, str(tokens[1]), cert)
        assert list(call(remote, "show-status")) == [{"as": 42}]
        assert list(call(remote, "reload")) == [{"lines": []}]
        reader = remote._replace(token_file=str(tokens[0]))
        assert list(call(reader, "show-status")) == [{"as": 42}]
        with pytest.raises(ControlError, match="full rights"):
            list(call(reader, "reload"))
        with pytest.raises(ControlError, match="needs a token"):
            list(call(remote._replace(token_file=""), "show-status"))
        for changed, text in (
            ({"ca_file": ""}, "not trusted"),
            ({"ca_file": "/nothing"}, "/nothing: No such file"),
            ({"token_file": "/nothing"}, "/nothing"),
            ({"url": url.replace("https", "http")}, "closed|reset"),
            ({"url": "ftp://x"}, "not a URL"),
            ({"url": f"{url}/path"}, "not a URL"),
            ({"url": "https://127.0.0.1:1"}, "nothing listens"),
        ):
            with pytest.raises(UnreachableError, match=f"(?i){text}"):
                list(call(remote._replace(**changed), "show-status"))

    async def talk(place: ApiPlace, cert: str, _: str) -> None:
        await asyncio.to_thread(ask, place.url, cert)

    serve_tls(tmp_path, tokens, talk)


@pytest.mark.slow
def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    tmp_path: Path, tokens: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async def subject(place: ApiPlace) -> bytes:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, writer = await asyncio.open_connection(
            place.address, place.door.port, ssl=context
        )
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        return found

    async def talk(place: ApiPlace, cert: str, key: str) -> None:
        first = await subject(place)
        overwrite(cert, "not a certificate")
        assert await subject(place) == first
        assert "the former one stays in use" in caplog.text
        new_cert, new_key = certificate(tmp_path, "renewed")
        os.rename(new_key, key)  # noqa: PTH104
        assert await subject(place) == first
        os.rename(new_cert, cert)  # noqa: PTH104
        assert await subject(place) != first

    serve_tls(tmp_path, tokens, talk)


@pytest.mark.slow
def test_what_is_not_tls_costs_nothing(
    tmp_path: Path,
    tokens: tuple[Path, Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bgpd.api.door.HANDSHAKE_TIME", 0.3)

    async def talk(place: ApiPlace, cert: str, _: str) -> None:
        waiting = socket.create_connection((place.address, place.door.port))
        for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 300, b"\x16\x03\x01"):
            reader, writer = await asyncio.open_connection(
                place.address, place.door.port
            )
            writer.write(octets)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    while await reader.read(1 << 16):
                        pass
            writer.close()
        context = ssl.create_default_context(cafile=cert)
        headers = {"Authorization": f"Bearer {READ}"}
        async with aiohttp.ClientSession(place.url, headers=headers) as http:  # noqa: SIM117
            async with http.get("/api/v1/status", ssl=context) as answer:
                assert (answer.status, await answer.json()) == (200, {"as": 42})
        waiting.close()

    serve_tls(tmp_path, tokens, talk)
    assert "Traceback" not in caplog.text


def test_everybody_of_the_control_socket_has_its_rights() -> None:
    caller = Caller({"Host": "evil.example"}, "", "http")
    assert OpenAccess(Rights.FULL).rights(caller) is Rights.FULL
