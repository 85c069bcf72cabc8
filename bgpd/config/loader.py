"""Read a configuration from files, environment and options. The only part with input.

``load`` is what ``run``, ``check`` and a reload use; all three so have the same checks.
"""

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bgpd.config.bfd import Bfd, max_secret_len
from bgpd.config.consistency import contradictions
from bgpd.config.convert import to_settings
from bgpd.config.document import (
    MAX_PROBLEMS,
    Document,
    format_path,
    parse_document,
)
from bgpd.config.environment import overlay_environment, overlay_options
from bgpd.config.errors import ConfigError, ConfigProblem, Origin
from bgpd.config.fields import MD5_KEY_LEN
from bgpd.config.inheritance import neighbours
from bgpd.config.model import DaemonConfig
from bgpd.config.salvage import salvage
from bgpd.config.settings import DaemonSettings
from bgpd.config.validation import validate
from bgpd.texts.files import read_text
from bgpd.texts.limits import (
    CONFIGURATION,
    NAME_OCTETS,
    PASSWORD_OCTETS,
    TextError,
)
from bgpd.texts.tree import KeyPath

_IDENTITY: Final[Mapping[KeyPath, tuple[str, str]]] = MappingProxyType(
    {
        ("bgp", "as"): ("AS number", "--as"),
        ("bgp", "router_id"): ("router ID", "--router-id"),
    }
)
NODE_NAME_FILE = Path("/var/lib/calico/nodename")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    Attributes:
        settings: The settings of the daemon.
        files: Every file that was read; a change of one is a reason to load again.
    """

    settings: DaemonSettings
    files: tuple[Path, ...]


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, object] = MappingProxyType({}),
    text: str | None = None,
    text_name: str = "",
) -> Loaded:
    """Read, overlay, check and convert.

    Args:
        file: The YAML file; without one, defaults, environment and options are all.
        environment: Default: the process's.
        options: Values by the names of ``bgpd.config.environment.OPTIONS``.
        text: Takes the place of the file's text; relative names in it are still those of files
            beside ``file``.
        text_name: What errors call it.

    Raises:
        ConfigError: Something is wrong; all that was found is in it.
    """
    variables = os.environ if environment is None else environment
    document = (
        _read_document(file) if text is None else _parsed(text, text_name or str(file))
    )
    overlay_environment(document, variables)
    overlay_options(document, options)
    if document.is_unreadable:  # what would be missing is there, most likely
        raise ConfigError(document.problems)
    _default_node_name(document, variables)
    config, problems = validate(document)
    base = Path() if file is None else file.parent
    salvaged = None if config is not None else salvage(document.data)
    sound = config if salvaged is None else salvaged.config
    if sound is None:
        raise ConfigError(problems)
    secrets, read, findings = _read_secrets(sound, base)
    findings += islice(
        contradictions(sound, salvaged.original)
        if salvaged is not None
        else contradictions(sound),
        MAX_PROBLEMS + 1,
    )
    if salvaged is not None:
        findings = list(salvaged.findings(findings))
    if file is None:
        findings, nobody = _without_identity(findings)
        problems += nobody
    problems += _problems(document, findings)
    if problems:
        raise ConfigError(problems)
    own = () if file is None else (file,)
    return Loaded(to_settings(sound, secrets), (*own, *read))


def _parsed(text: str, source: str) -> Document:
    """Return the document of a text that was sent, within the limits of a file."""
    try:
        CONFIGURATION.check_octets(len(text.encode("utf-8", "surrogateescape")))
    except TextError as error:
        problem = ConfigProblem(Origin(source), "", error.problem)
        raise ConfigError([problem]) from error
    return parse_document(text, source)


def _read_document(file: Path | None) -> Document:
    if file is None:
        return Document("defaults")
    source = str(file)
    try:
        text = read_text(file, CONFIGURATION.octets)
    except OSError as error:
        problem = ConfigProblem(Origin(source), "", error.strerror or str(error))
        raise ConfigError([problem]) from error
    except TextError as error:
        origin = Origin(source, error.line, error.column)
        raise ConfigError([ConfigProblem(origin, "", error.problem)]) from error
    return parse_document(text, source)


def _without_identity(
    findings: list[tuple[KeyPath, str]],
) -> tuple[list[tuple[KeyPath, str]], list[ConfigProblem]]:
    """Split what is wrong where there is no file: that nothing says who we are, for people.

    Returns:
        The other findings; and one problem that names the ways to say it.
    """
    missing = [_IDENTITY[path] for path, _ in findings if path in _IDENTITY]
    if not missing:
        return findings, []
    what = " and ".join(f"no {name}" for name, _ in missing)
    options = " and ".join(option for _, option in missing)
    text = (
        f"{what}: expected --config FILE; or {options}; or, on a Calico node, "
        "DATASTORE_TYPE or ETCD_ENDPOINTS"
    )
    others = [each for each in findings if each[0] not in _IDENTITY]
    return others, [ConfigProblem(Origin(""), "", text)]


def _problems(
    document: Document, findings: list[tuple[KeyPath, str]]
) -> Iterator[ConfigProblem]:
    for path, text in findings[:MAX_PROBLEMS]:
        yield ConfigProblem(document.origin_of(path), format_path(path), text)
    if len(findings) > MAX_PROBLEMS:
        yield ConfigProblem(document.origin_of(findings[-1][0]), "", "and more")


def _default_node_name(document: Document, environment: Mapping[str, str]) -> None:
    """Find the node's name as Calico does, if it is not configured."""
    section = document.data.get("node")
    if section is not None and (not isinstance(section, dict) or section.get("name")):
        return
    name, source = "", str(NODE_NAME_FILE)
    with contextlib.suppress(OSError, TextError):  # usual outside a cluster
        name = read_text(NODE_NAME_FILE, NAME_OCTETS).strip()
    if not name and (text := environment.get("HOSTNAME", "").strip()):
        name, source = text.lower(), "environment variable HOSTNAME"
    if not name:
        name, source = platform.node().lower(), "host name"
    document.put(("node", "name"), name, Origin(source))


def _bfd_files(bfd: object, path: KeyPath) -> Iterator[tuple[str, KeyPath, int]]:
    """Yield the password file of BFD's authentication, where it is named, and its most octets."""
    if isinstance(bfd, Bfd) and bfd.auth is not None and bfd.auth.password_file:
        length = max_secret_len(bfd.auth)
        yield bfd.auth.password_file, (*path, "auth", "password_file"), length


def _read_secrets(
    config: DaemonConfig, base: Path
) -> tuple[dict[str, str], list[Path], list[tuple[KeyPath, str]]]:
    """Read every password file, relative names beside the configuration file."""
    wanted: dict[str, KeyPath] = {}
    most: dict[str, int] = {}
    if config.datastore.password_file is not None:
        wanted[config.datastore.password_file] = ("datastore", "password_file")
    for each in neighbours(config):
        if isinstance(name := each.get("password_file"), str):
            wanted.setdefault(name, each.path_of("password_file"))
        for name, path, length in _bfd_files(each.get("bfd"), each.path_of("bfd")):
            wanted.setdefault(name, path)
            most[name] = min(length, most.get(name, length))
    defaults = ("bgp", "defaults", "bfd")
    for name, path, length in _bfd_files(config.bgp.defaults.bfd, defaults):
        wanted.setdefault(name, path)
        most[name] = min(length, most.get(name, length))
    if config.bgp.defaults.password_file is not None:
        wanted.setdefault(
            config.bgp.defaults.password_file, ("bgp", "defaults", "password_file")
        )
    secrets: dict[str, str] = {}
    read: list[Path] = []
    findings: list[tuple[KeyPath, str]] = []
    for name, path in wanted.items():
        file = base / name
        try:
            lines = read_text(file, PASSWORD_OCTETS).splitlines()
        except (OSError, ValueError) as error:  # of a path with a NUL, too
            findings.append((path, f"cannot read {file}: {error}"))
            continue
        password = lines[0] if lines else ""
        length = most.get(name, MD5_KEY_LEN)
        if not 1 <= len(password.encode()) <= length:
            text = f"the first line of {file} must have 1 to {length} octets"
            findings.append((path, text))
            continue
        secrets[name] = password
        read.append(file)
    return secrets, read, findings
