"""A daemon that cannot read etcd says why, and which key to look at."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bgpd.cli.doctor import datastore_checks
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings
from bgpd.datastore.etcd import EtcdDatastore, EtcdSettings, EtcdWriter
from tests.etcd.servers import (
    IS_INSTALLED,
    Cluster,
    cluster,
    free_ports,
    make_certificates,
)
from tests.support.daemons import write_yaml
from tests.support.datastores import Follower

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
]


async def reason(settings: EtcdSettings) -> str:
    async with Follower(EtcdDatastore(settings)) as follower:
        await follower.until(lambda seen: bool(seen.datastore.status.last_error))
        text = follower.datastore.status.last_error
    return text.removeprefix(f"{settings.endpoints[0]}: ")


@pytest_asyncio.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Cluster]:
    ca, cert, key = make_certificates(tmp_path / "pki")
    options = [f"--cert-file={cert}", f"--key-file={key}", "--client-cert-auth"]
    with cluster(tmp_path, 1, options=[*options, f"--trusted-ca-file={ca}"]) as found:
        server = found.servers[0]
        server.scheme = "https"
        found.settings = EtcdSettings(
            (server.endpoint,), ca_file=ca, cert_file=cert, key_file=key
        )
        await found.start()
        yield found


async def test_each_fault_of_tls_has_a_text_of_its_own(
    secure: Cluster, tmp_path: Path
) -> None:
    good = secure.settings
    strange_ca, strange_cert, strange_key = make_certificates(tmp_path / "stranger")
    port = secure.servers[0].client_port
    plain = f"http://127.0.0.1:{port}"
    cases = {
        f"etcd's certificate is not signed by datastore.ca_file {strange_ca}": replace(
            good, ca_file=strange_ca
        ),
        (
            "etcd's certificate is not signed by an authority that this system trusts; "
            "is datastore.ca_file missing?"
        ): replace(good, ca_file=""),
        (
            "etcd wants a client certificate: expected datastore.cert_file and "
            "datastore.key_file"
        ): replace(good, cert_file="", key_file=""),
        (
            f"etcd rejects datastore.cert_file {strange_cert}: signed by no authority "
            "that it trusts"
        ): replace(good, cert_file=strange_cert, key_file=strange_key),
        "it speaks TLS there: expected https:// in datastore.endpoints": replace(
            good, endpoints=(plain,)
        ),
        "etcd's certificate is not valid for 127.0.0.2": replace(
            good, endpoints=(f"https://127.0.0.2:{port}",)
        ),
    }

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(65536):
                writer.write(octets)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(relay, "127.0.0.2", port):
        found = await asyncio.gather(*map(reason, cases.values()))
    assert list(found) == list(cases)


async def test_the_doctor_reads_etcd_and_its_clock_with_the_files_credentials(
    secure: Cluster, tmp_path: Path
) -> None:
    given = secure.settings
    file = write_yaml(
        tmp_path / "pybgpd.yaml",
        {
            "datastore": {
                "type": "etcd",
                "endpoints": list(given.endpoints),
                "ca_file": given.ca_file,
                "cert_file": given.cert_file,
                "key_file": given.key_file,
            }
        },
    )

    def examined(settings: DaemonSettings) -> list[str]:
        checks = (datastore_checks.datastore, datastore_checks.clock)
        found = [each for check in checks for each in check(settings)]
        return [f"{each.verdict}: {each.text}" for each in found]

    settings = load(file, environment={}).settings
    await EtcdWriter(given).put(
        {"/calico/resources/v3/projectcalico.org/nodes/a": b"{}"}
    )
    assert await asyncio.to_thread(examined, settings) == [
        "ok: etcd: 1 objects can be read",
        f"ok: that of {given.endpoints[0]}, within 2 s",
    ]
    store = replace(settings.datastore, cert_file="", key_file="")
    told = await asyncio.to_thread(examined, replace(settings, datastore=store))
    assert told == [
        (
            f"fault: {given.endpoints[0]}: etcd wants a client certificate: expected "
            "datastore.cert_file and datastore.key_file"
        ),
        f"unknown: could not see: {given.endpoints[0]} sends no time",
    ]


async def test_files_are_checked_before_anything_is_tried(tmp_path: Path) -> None:
    ca, cert, key = make_certificates(tmp_path / "pki")
    other_key = make_certificates(tmp_path / "other")[2]
    text, secret = tmp_path / "text", tmp_path / "encrypted.key"
    text.write_text("nothing\n")
    subprocess.run(  # noqa: ASYNC221 - before anything runs
        ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", secret],
        check=True,
        capture_output=True,
    )
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    damaged_key = tmp_path / "damaged.key"
    damaged_key.write_text(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    )
    absent = tmp_path / "absent.pem"
    (port,) = free_ports(1)
    good = EtcdSettings(
        (f"https://127.0.0.1:{port}",), ca_file=ca, cert_file=cert, key_file=key
    )
    cases: dict[str, dict[str, object]] = {
        f"datastore.ca_file {absent}: there is no such file": {"ca_file": absent},
        f"datastore.ca_file {text}: has no certificate in PEM form": {"ca_file": text},
        f"datastore.ca_file {damaged}: has a damaged certificate": {"ca_file": damaged},
        f"datastore.cert_file {key}: has no certificate in PEM form": {
            "cert_file": key
        },
        f"datastore.cert_file {damaged}: has a damaged certificate": {
            "cert_file": damaged
        },
        f"datastore.cert_file {cert}: has no private key in PEM form": {"key_file": ""},
        f"datastore.key_file {damaged_key}: has a damaged private key": {
            "key_file": damaged_key
        },
        (
            f"datastore.key_file {other_key}: does not belong to datastore.cert_file "
            f"{cert}"
        ): {"key_file": other_key},
        (
            f"datastore.key_file {secret}: the key is encrypted; expected one without a "
            "password"
        ): {"key_file": secret},
        f"datastore.ca_file {tmp_path}: is a folder; expected a regular file": {
            "ca_file": tmp_path
        },
        "nothing listens there": {},
    }
    settings = [
        replace(good, **{name: str(value) for name, value in given.items()})  # type: ignore[arg-type]
        for given in cases.values()
    ]
    assert list(await asyncio.gather(*map(reason, settings))) == list(cases)


async def test_https_to_a_port_without_tls_is_named(tmp_path: Path) -> None:
    with cluster(tmp_path) as one:
        await one.start()
        endpoint = f"https://127.0.0.1:{one.servers[0].client_port}"
        found = await reason(replace(one.settings, endpoints=(endpoint,)))
        assert found == (
            "it speaks no TLS there: expected http:// in datastore.endpoints"
        )
