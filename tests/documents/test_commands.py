"""Every command of the documentation is proven, in the way that its rule says."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.documents.test_pages import WHOLE
from tests.support.command_rules import RULES, Way, rule_of
from tests.support.commands import run
from tests.support.console import Command, commands
from tests.support.generated import ROOT
from tests.support.kustomize import kubectl, render
from tests.support.sandbox import Shell

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("configs/**/*.md")]
)
PLAYED = {name.partition("#")[0] for row in WHOLE for name in row}

NODE = """
node: {name: node-1}
datastore: {type: folder, path: cluster}
bird: {ipv4: /run/calico/bird.ctl, ipv6: /run/calico/bird6.ctl}
metrics: {listen: 127.0.0.1:9179}
peers:
  - {name: gateway, address: 192.0.2.1, as: 65001, import_policy: accept-all}
  - {name: one, address: 192.0.2.2, as: 64512}
  - {name: two, address: 192.0.2.3, as: 64512}
routes:
  originate: [{prefix: 10.244.44.192/26}, {prefix: 10.2.0.0/16}]
"""
CLUSTER = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: node-1}
spec: {bgp: {ipv4Address: 10.0.0.1/24, asNumber: 64512}}
"""
# What calico-node has on its machine; the shell's folders are its own.
CALICO = (
    "mkdir /run/pybgpd /run/calico; mount -t tmpfs tmpfs /var/lib;"
    " mkdir /var/lib/calico; echo node-1 >/var/lib/calico/nodename"
)
STARTS = re.compile(r"pybgpd (run|reflector)\b")
FAILS = {
    "pybgpctl calico diff": "extra",  # the configuration has a peer that the cluster has not
    "pybgpctl calico confirm": "nothing to do",
}


@cache
def all_commands() -> tuple[Command, ...]:
    return tuple(command for page in PAGES for command in commands(page, ROOT))


def test_the_release_script_writes_version_and_changelog(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CHANGELOG.md", ".ci/release"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d/README.md").write_text("stays\n")
    (tmp_path / "changelog.d/one.fixed.md").write_text("A fault is\ngone.\n")
    (tmp_path / "changelog.d/two.added.md").write_text("A thing is there.\n")
    run(".ci/release", "7.8.9", cwd=tmp_path)
    text = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        r"## 7\.8\.9 \(.{10}\)\n\n### Added\n\n\* A thing is there\.\n"
        r"\n### Fixed\n\n\* A fault is\n  gone\.\n",
        text,
    )
    assert 'version = "7.8.9"\n' in (tmp_path / "pyproject.toml").read_text(
        encoding="utf-8"
    )
    assert [path.name for path in (tmp_path / "changelog.d").iterdir()] == ["README.md"]


def of(way: Way) -> Iterator[Command]:
    for command in all_commands():
        if rule_of(command.text).way is way and command.page not in PLAYED:
            yield command


def test_every_rule_is_used_and_those_that_run_nothing_say_why() -> None:
    used = {rule_of(command.text) for command in all_commands()}
    assert [rule for rule in RULES if rule not in used] == []
    for rule in RULES:
        assert (rule.way is Way.ELSEWHERE) == bool(rule.reason)


def test_targets_exist() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", text, re.MULTILINE))
    found = list(of(Way.TARGET))
    assert len(found) > 10
    for command in found:
        named = [word for word in shlex.split(command.text)[1:] if "=" not in word]
        assert set(named) <= targets, command.place


def test_what_etcdctl_does_is_all_on_the_page_whose_test_does_it() -> None:
    pages = {command.page for command in of(Way.ETCD)}
    assert pages == {"docs/migrating-from-bird.md"}
    tests = (ROOT / "tests/etcd/test_roles.py").read_text(encoding="utf-8")
    assert "migrating-from-bird.md" in tests


def options_of(*words: str) -> set[str]:
    found = run(kubectl(), *words)
    return set(re.findall(r"(?:^| )(--?[\w-]+)", found))


@pytest.mark.slow
@pytest.mark.skipif(not kubectl(), reason="kubectl is not installed: make check")
def test_kubectl_knows_the_options_and_builds_the_folders() -> None:
    common = cache(options_of)("options")
    own = cache(options_of)
    place, seen = ROOT, 0
    for command in all_commands():
        if command.text.startswith("cd configs/"):
            place = ROOT / command.text[3:]
        if rule_of(command.text).way is not Way.KUBECTL:
            continue
        first = re.split(r" [|>] ", command.text)[0].partition(" -- ")[0]
        words = shlex.split(first)[1:]
        verb = next(
            each for each in words if re.fullmatch(r"[a-z]+", each) and each in VERBS
        )
        known = common | own(verb, "--help")
        given = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert given <= known, command.place
        if "-k" in words:
            folder = words[words.index("-k") + 1]
            where = place if folder == "." else ROOT / folder
            assert where.is_dir(), command.place
            if folder != ".":  # the others change what was exported from a cluster
                assert render(where), command.place
        if "--patch-file" in words:
            assert (ROOT / words[words.index("--patch-file") + 1]).is_file(), (
                command.place
            )
        if "-p" in words:
            assert json.loads(words[words.index("-p") + 1]), command.place
        seen += 1
    assert seen > 20


VERBS = frozenset(
    {
        *("get", "diff", "apply", "label", "exec", "patch", "delete", "rollout"),
        *("taint", "annotate", "describe", "logs", "create"),
    }
)


def once(way: Way) -> list[Command]:
    """Return the commands of a way, each text once."""
    return list({command.text: command for command in of(way)}.values())


@pytest.mark.root
def test_daemons_of_the_documentation_start(tmp_path: Path) -> None:
    found = [command for command in once(Way.SANDBOX) if STARTS.match(command.text)]
    assert found
    with Shell(tmp_path) as shell:
        assert shell.run(f"cd {ROOT}; mkdir /run/pybgpd")[0] == 0
        for command in found:
            code, printed = shell.run(
                f"{command.text} 2>{tmp_path}/log & "
                f"for n in $(seq 200); do grep -qE 'started|reflects' {tmp_path}/log && break;"
                f" sleep 0.05; done; kill %1; wait %1; code=$?; cat {tmp_path}/log; [ $code = 0 ]"
            )
            assert code == 0, f"{command.place}\n{printed}"


@pytest.mark.root
def test_commands_of_the_documentation_run(tmp_path: Path) -> None:
    found = [command for command in once(Way.SANDBOX) if not STARTS.match(command.text)]
    assert len(found) > 20
    (tmp_path / "node.yaml").write_text(NODE.replace("cluster", f"{tmp_path}/cluster"))
    (tmp_path / "new.yaml").write_text((tmp_path / "node.yaml").read_text())
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/node.yaml").write_text(CLUSTER)
    start = (
        f"pybgpd run --config {tmp_path}/node.yaml 2>>{tmp_path}/log & "
        "for n in $(seq 200); do pybgpctl show status >/dev/null 2>&1 && break; sleep 0.1; done"
    )
    problems = []
    with Shell(tmp_path) as shell:
        shell.run(f"ln -s {ROOT}/configs {ROOT}/changelog.d .; {CALICO}; {start}")
        for command in found:
            code, printed = shell.run(command.text)
            expected = FAILS.get(command.text)
            if (code != 0) != (expected is not None) or (expected or "") not in printed:
                problems.append(f"{command.place}: {code}\n{printed}")
            if command.text.startswith("pybgpctl shutdown"):
                shell.run(f"wait %1; {start}")
    assert problems == []
