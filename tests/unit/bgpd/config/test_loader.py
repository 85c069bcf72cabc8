from pathlib import Path

import pytest

from bgpd.config import loader as loader_module
from bgpd.config.check import check
from bgpd.config.errors import ConfigError
from bgpd.config.loader import load

GOOD = "bgp: {as: 64512, router_id: 10.0.0.1}\n"


@pytest.fixture(autouse=True)
def no_calico_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "nodename"
    monkeypatch.setattr(loader_module, "NODE_NAME_FILE", file)
    return file


def write(folder: Path, text: str) -> Path:
    file = folder / "pybgpd.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def problems_of(file: Path | None, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environment=environment)
    return str(caught.value).splitlines()


def test_calicos_environment_alone_is_enough() -> None:
    loaded = load(None, environment={"NODENAME": "n", "ETCD_ENDPOINTS": "http://e:1"})
    assert loaded.settings.node_name == "n"
    assert loaded.settings.datastore.endpoints == ("http://e:1",)
    assert loaded.files == ()


def test_nothing_at_all_says_what_is_needed() -> None:
    assert problems_of(None) == [
        (
            "no AS number and no router ID: expected --config FILE; or --as and "
            "--router-id; or, on a Calico node, DATASTORE_TYPE or ETCD_ENDPOINTS"
        ),
    ]


def test_options_make_a_reflector_without_a_file() -> None:
    options = {
        "as": 64512,
        "router-id": "10.0.0.1",
        "listen": "127.0.0.1",
        "port": 1179,
        "clients": ("127.0.0.0/8",),
        "fib": "off",
        "cluster-id": None,
    }
    settings = load(None, environment={}, options=options).settings
    assert settings.speaker.listen_addresses == ("127.0.0.1",)
    assert settings.ranges[0].template.remote_as == 64512
    assert not settings.fib.is_enabled


def test_a_bad_option_is_named_as_such() -> None:
    with pytest.raises(ConfigError, match=r"option --router-id: bgp\.router_id: 'x'"):
        load(None, environment={}, options={"as": 1, "router-id": "x"})


def test_problems_of_all_sources_come_in_order(tmp_path: Path) -> None:
    file = write(tmp_path, "fib: {tabel: 1}\nbgp: {as: x}\n")
    lines = problems_of(file, PYBGPD_X="1", PYBGPD_LOG_LEVEL="loud")
    assert [line.split(": ")[0] for line in lines] == [
        f"{file}:1:7",
        f"{file}:2:6",
        f"{file}:2:11",
        "environment variable PYBGPD_LOG_LEVEL",
        "environment variable PYBGPD_X",
    ]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    assert problems_of(file) == [f"{file}: No such file or directory"]
    assert problems_of(tmp_path) == [
        f"{tmp_path}: is a folder; expected a regular file"
    ]


def test_a_file_of_other_octets_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"node: {name: caf\xe9}")
    assert problems_of(file) == [f"{file}:1:17: not UTF-8 text: octet 16 is 0xe9"]


def test_passwords_come_from_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\nmore\n", encoding="utf-8")
    text = "peers: [{address: '::1', as: 1, password_file: key}]\n"
    loaded = load(write(tmp_path, GOOD + text), environment={})
    assert loaded.settings.peers[0].password == "secret"
    assert loaded.files == (tmp_path / "pybgpd.yaml", tmp_path / "key")


@pytest.mark.parametrize("content", [None, "", "\n", "x" * 81])
def test_a_password_file_without_a_password_is_a_problem(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content, encoding="utf-8")
    text = (
        "bgp: {as: 1, router_id: 1.1.1.1, defaults: {password_file: key}}\n"
        "datastore: {type: etcd, endpoints: ['http://e:1'], username: u, "
        "password_file: key}\n"
    )
    (line,) = problems_of(write(tmp_path, text))
    assert "datastore.password_file: " in line
    assert str(tmp_path / "key") in line


@pytest.mark.parametrize(
    ("environment", "content", "name"),
    [
        ({"NODENAME": "env", "HOSTNAME": "host"}, "file", "env"),
        ({"HOSTNAME": "host"}, "file\n", "file"),
        ({"HOSTNAME": "HOST"}, "", "host"),
    ],
)
def test_the_nodes_name_is_found_as_calico_finds_it(
    no_calico_here: Path, environment: dict[str, str], content: str, name: str
) -> None:
    no_calico_here.write_text(content, encoding="utf-8")
    options = {"as": 1, "router-id": "1.1.1.1"}
    loaded = load(None, environment=environment, options=options)
    assert loaded.settings.node_name == name


def test_without_any_name_the_hosts_is_taken() -> None:
    options = {"as": 1, "router-id": "1.1.1.1"}
    assert load(None, environment={}, options=options).settings.node_name


def test_check_tells_what_a_good_file_comes_to(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + "node: {name: n}\nfib: {mode: off}\n")
    report = check(file, environment={})
    assert report.is_valid
    assert report.lines == (
        "node n, AS 64512, router id 10.0.0.1",
        "listen on 0.0.0.0, ::, port 179",
        "peers 0, ranges 0, policies 0, originated prefixes 0",
        "datastore none, kernel off",
        "valid",
    )


def test_check_tells_all_that_is_wrong(tmp_path: Path) -> None:
    report = check(write(tmp_path, GOOD + "fib: {a: 1, b: 2}"), environment={})
    assert not report.is_valid
    assert len(report.lines) == 3
    assert report.lines[-1] == "2 problems"
