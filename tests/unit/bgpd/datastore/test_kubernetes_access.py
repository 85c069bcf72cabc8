"""Access to Kubernetes' API by real files, over real TLS, through a real proxy."""

import asyncio
import base64
import json
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes import Access, find_access
from bgpd.datastore.kubernetes import authentication as authentication_module
from bgpd.datastore.kubernetes.access import why_none
from bgpd.datastore.model import DatastoreError
from tests.support.kubernetes_api import Api
from tests.support.speakers import on_both_loops

NOTHING = KubernetesSettings()


@pytest.fixture(autouse=True)
def _reads_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.access.READ_AGAIN", -1.0)


def rewrite(api: Api, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    """Write the server's kubeconfig with other values; ``None`` takes one away."""
    file = Path(api.kubeconfig())
    content = yaml.safe_load(file.read_text())
    for section, key, changes in (
        ("clusters", "cluster", cluster),
        ("users", "user", user),
    ):
        there = content[section][0][key] | changes
        content[section][0][key] = {k: v for k, v in there.items() if v is not None}
    file.write_text(yaml.safe_dump(content))
    return file


async def names(access: Access) -> set[str]:
    async with access.connect() as client:
        content = await client.get("api/v1/services")
    return {each["metadata"]["name"] for each in content["items"]}


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def test_credentials_come_from_where_calico_takes_them(tmp_path: Path) -> None:
    home, account = tmp_path / "home", tmp_path / "account"
    (home / ".kube").mkdir(parents=True)
    account.mkdir()
    outside = {"HOME": str(home)}
    inside = outside | {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    assert find_access(NOTHING, outside, account, is_datastore=True) is None
    assert find_access(NOTHING, inside, account, is_datastore=True) is None
    (account / "token").write_text("t")
    pod = Access(account=account)
    assert find_access(NOTHING, inside, account, is_datastore=True) == pod
    file = home / ".kube" / "config"
    file.touch()
    at_home = Access(str(file))
    assert find_access(NOTHING, inside, account, is_datastore=True) == at_home
    assert find_access(NOTHING, outside, account, is_datastore=True) == at_home
    # An administrator's kubeconfig is not used for passwords and services alone.
    assert find_access(NOTHING, outside, account) is None
    given = KubernetesSettings(server="https://api:6443")
    found = find_access(given, outside, account, is_datastore=True)
    assert found == Access(account=None, over=given)
    assert str(found) == "https://api:6443"
    given = KubernetesSettings(kubeconfig="/a:/b")
    found = find_access(given, inside, account)
    assert found == Access("/a:/b", over=given)


def test_missing_credentials_are_explained(tmp_path: Path) -> None:
    text = why_none({"HOME": "/home/a"}, tmp_path)
    assert "KUBECONFIG" in text
    assert "there is no /home/a/.kube/config" in text
    assert "KUBERNETES_SERVICE_HOST is not set" in text
    text = why_none({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, tmp_path)
    assert f"there is no {tmp_path}/token" in text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "environment variable KUBERNETES_SERVICE_PORT is not set"),
        (
            {"KUBERNETES_SERVICE_PORT": "tcp://10.96.0.1:443"},
            "KUBERNETES_SERVICE_PORT: expected a port, found 'tcp://10.96.0.1:443'",
        ),
    ],
)
def test_a_pod_with_half_an_environment_says_so(
    environment, said, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "token").write_text("t")
    with pytest.raises(DatastoreError) as caught:
        Access(account=tmp_path).connect()
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_missing_files_of_a_list_are_skipped(tmp_path: Path) -> None:
    with pytest.raises(DatastoreError, match="none of these files exists"):
        Access(f"{tmp_path}/a:{tmp_path}/b").connect()
    with pytest.raises(DatastoreError, match=f"{tmp_path}/a: the file does not exist"):
        Access(f"{tmp_path}/a").connect()
    with pytest.raises(DatastoreError, match="is a folder; expected a regular file"):
        Access(f"{tmp_path}/a:{tmp_path}").connect()


@on_both_loops
async def test_several_files_together_reach_the_server(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        whole = yaml.safe_load(rewrite(api, {}, {}).read_text())
        (tmp_path / "users").write_text(yaml.safe_dump({"users": whole.pop("users")}))
        (tmp_path / "rest").write_text(yaml.safe_dump(whole))
        access = Access(f"{tmp_path}/none:{tmp_path}/rest:{tmp_path}/users")
        assert await names(access) == {"one"}


@on_both_loops
async def test_certificates_may_stand_in_the_file(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        file = rewrite(
            api,
            {
                "certificate-authority": "nowhere",
                "certificate-authority-data": encoded(cert),
            },
            {
                "client-certificate-data": encoded(cert),
                "client-key-data": encoded(key),
            },
        )
        assert await names(Access(str(file))) == {"one"}


@on_both_loops
async def test_the_name_of_the_certificate_may_be_given(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        url = f"https://localhost:{api.port}"
        access = Access(str(rewrite(api, {"server": url}, {})))
        with pytest.raises(Exception, match="certificate is not valid for localhost"):
            await names(access)
        rewrite(api, {"server": url, "tls-server-name": "127.0.0.1"}, {})
        assert await names(access) == {"one"}


@on_both_loops
async def test_an_unknown_certificate_is_rejected_unless_any_is_allowed(
    tmp_path: Path,
) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        access = Access(str(rewrite(api, {"certificate-authority": None}, {})))
        said = rf"https://127.0.0.1:{api.port}: the API's certificate is not signed by the CA"
        with pytest.raises(Exception, match=said):
            await names(access)
        rewrite(
            api,
            {"certificate-authority": None, "insecure-skip-tls-verify": True},
            {},
        )
        assert await names(access) == {"one"}
        # Calico's variable counts over a CA of the file.
        over = KubernetesSettings(is_insecure=True)
        assert await names(Access(api.kubeconfig(), over=over)) == {"one"}


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_named() -> None:
    over = KubernetesSettings(server="https://127.0.0.1:1")
    with pytest.raises(Exception, match=r"https://127\.0\.0\.1:1: "):
        await names(Access(account=None, over=over))


@asynccontextmanager
async def a_proxy(asked: list[str]) -> AsyncIterator[int]:
    """Run an HTTP proxy that tunnels, and notes where to."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(1 << 16):
            writer.write(octets)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split()[1].decode()
        asked.append(target)
        host, port = target.rsplit(":", 1)
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(
            pipe(reader, there[1]), pipe(there[0], writer), return_exceptions=True
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.asyncio
async def test_a_proxy_of_the_file_is_used(tmp_path: Path) -> None:
    asked: list[str] = []
    async with Api(tmp_path) as api, a_proxy(asked) as port:
        api.put("Service", "one", spec={})
        file = rewrite(api, {"proxy-url": f"http://127.0.0.1:{port}"}, {})
        assert await names(Access(str(file))) == {"one"}
        assert asked == [f"127.0.0.1:{api.port}"]


def a_plugin(folder: Path, *lines: str) -> dict[str, Any]:
    """Write a program that is run for a token, and say so to a kubeconfig."""
    program = folder / "plugin"
    program.write_text("\n".join(("#!/bin/sh", *lines, "")))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {
        "tokenFile": None,
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "env": [{"name": "NAME", "value": folder.name}],
            "installHint": "install the plugin",
        },
    }


def printed(**status: str) -> str:
    return "echo '" + json.dumps({"kind": "ExecCredential", "status": status}) + "'"


@on_both_loops
async def test_a_program_prints_the_token(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        runs = tmp_path / "runs"
        plugin = a_plugin(
            tmp_path,
            f'echo "$NAME $KUBERNETES_EXEC_INFO" >>{runs}',
            printed(token="first", expirationTimestamp="2099-01-01T00:00:00Z"),
        )
        access = Access(str(rewrite(api, {}, plugin)))
        assert await asyncio.gather(*(names(access) for _ in range(4))) == [{"one"}] * 4
        (line,) = runs.read_text().splitlines()
        name, told = line.split(maxsplit=1)
        assert name == tmp_path.name
        assert json.loads(told)["spec"] == {"interactive": False}
        # Refused: it is run again.
        api.token = "second"
        a_plugin(tmp_path, printed(token="second"))
        assert await names(access) == {"one"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["echo sorry >&2", "exit 3"], "ended with 3: sorry"),
        (["echo hello"], "what it printed is not JSON"),
        ([printed(clientCertificateData="x")], "status.token, found a certificate"),
        ([printed(token="a b")], "expected a token, one word"),
        (
            [printed(token="a", expirationTimestamp="soon")],
            "expirationTimestamp: expected a time such as 2026-01-31T12:00:00Z, found",
        ),
        (["exec yes"], "printed over 1048576 octets"),
        (["sleep 60"], "took longer than 0 s"),
    ],
)
@pytest.mark.asyncio
async def test_a_program_without_a_token_is_reported(
    lines: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "longer" in said:
        monkeypatch.setattr(authentication_module, "PLUGIN_TIME", 0.3)
    async with Api(tmp_path) as api:
        access = Access(str(rewrite(api, {}, a_plugin(tmp_path, *lines))))
        with pytest.raises(DatastoreError) as caught:
            await names(access)
        assert said in str(caught.value)
        assert "plugin: " in str(caught.value)


@pytest.mark.asyncio
async def test_a_missing_program_is_reported_with_its_hint(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        file = rewrite(api, {}, a_plugin(tmp_path))
        (tmp_path / "plugin").unlink()
        with pytest.raises(DatastoreError, match="; install the plugin"):
            await names(Access(str(file)))


@pytest.mark.asyncio
async def test_a_token_is_read_again_before_it_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Api(tmp_path) as api:
        api.put("Service", "one", spec={})
        async with Access(api.kubeconfig()).connect() as client:
            await client.get("api/v1/services")
            api.token = "second"
            (tmp_path / "token").write_text("second\n")
            monkeypatch.setattr(authentication_module, "FRESH", -1.0)
            await client.get("api/v1/services")
            assert len(api.asked) == 2  # none was refused
            # While kubelet replaces it, what was read stays in force.
            (tmp_path / "token").write_text("")
            await client.get("api/v1/services")
            (tmp_path / "token").unlink()
            await client.get("api/v1/services")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected PEM certificates"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "expected"),
        (b"\xff\xfe", "expected PEM certificates"),
    ],
)
def test_a_ca_file_without_certificates_is_named(content, said, tmp_path) -> None:
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(content)
    over = KubernetesSettings(server="https://127.0.0.1:1", ca_file=str(ca_file))
    with pytest.raises(DatastoreError, match=f"{ca_file}: {said}"):
        Access(account=None, over=over).connect()


@pytest.mark.asyncio
async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    async with Api(tmp_path):
        cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        for bad in (b"", b"no key", encrypted(key)):
            wrong = tmp_path / "wrong.pem"
            wrong.write_bytes(bad)
            over = KubernetesSettings(
                server="https://127.0.0.1:1", cert_file=str(cert), key_file=str(wrong)
            )
            with pytest.raises(DatastoreError, match="without a pass phrase") as caught:
                Access(account=None, over=over).connect()
            assert str(wrong) in str(caught.value)
            assert str(cert) in str(caught.value)


def encrypted(key: Path) -> bytes:
    out = key.with_suffix(".encrypted")
    words = ("-in", str(key), "-aes256", "-passout", "pass:word", "-out", str(out))
    subprocess.run(["openssl", "ec", *words], check=True, capture_output=True)
    return out.read_bytes()
