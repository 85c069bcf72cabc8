"""All checks for a configuration, and the report of what they found."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bgpd import __version__
from bgpd.cli.doctor import datastore_checks, machine_checks, network_checks
from bgpd.cli.doctor.findings import (
    Check,
    Finding,
    Verdict,
    fault,
    ok,
    run_checks,
    warning,
)
from bgpd.cli.doctor.machine_checks import Machine
from bgpd.config.advice import advice
from bgpd.config.errors import ConfigError
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings

DEFAULT_FILE = Path("/etc/pybgpd/pybgpd.yaml")
_WIDTH = max(map(len, Verdict))


def examine(file: Path | None, environment: Mapping[str, str]) -> list[Finding]:
    """Examine this machine for a configuration.

    Args:
        file: Of the configuration; ``None`` for what the environment says, if anything.
        environment: Of the daemon.
    """
    settings, findings = _configuration(file, environment)
    return [*findings, *run_checks(list(_checks(Machine(), settings)))]


def _configuration(
    file: Path | None, environment: Mapping[str, str]
) -> tuple[DaemonSettings | None, list[Finding]]:
    name = "configuration"
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    try:
        settings = load(file, environment=environment).settings
    except ConfigError as error:
        if file is None:
            text = "none is given: the machine alone is examined"
            return None, [warning(name, text, "pybgpd doctor --config FILE")]
        problems = error.problems
        how = "pybgpd check FILE says the same; `pybgpd init` writes a new one"
        return None, [fault(name, str(each), how) for each in problems]
    found = [warning(name, line) for line in advice(settings)]
    return settings, found or [ok(name, str(file or "from the environment"))]


def _checks(machine: Machine, settings: DaemonSettings | None) -> Iterator[Check]:
    yield Check("program", machine_checks.program)
    yield Check("capabilities", lambda: machine_checks.capabilities(machine, settings))
    yield Check("kernel", lambda: machine_checks.kernel(machine, settings))
    yield Check("sysctl", lambda: machine_checks.sysctls(machine, settings))
    yield Check("limits", lambda: machine_checks.limits(machine, settings))
    yield Check("port", lambda: machine_checks.port(machine, settings))
    yield Check("other daemons", lambda: machine_checks.programs(machine))
    yield Check("kernel routes", lambda: network_checks.leftovers(settings))
    yield Check("MTU", lambda: network_checks.mtus(machine))
    if settings is None:
        return
    yield Check("addresses", lambda: network_checks.addresses(settings))
    patience = datastore_checks.PATIENCE
    yield Check("datastore", lambda: datastore_checks.datastore(settings), patience)
    yield Check("clock", lambda: datastore_checks.clock(settings), patience)


def as_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the report for people: a line each, and below it what to do."""
    for each in findings:
        yield f"{each.verdict:{_WIDTH}}  {each.check}: {each.text}"
        if each.advice:
            yield f"{'':{_WIDTH}}  -> {each.advice}"
    counts = Counter(each.verdict for each in findings)
    shown = [Verdict.FAULT, Verdict.WARNING]
    parts = [
        f"{counts[each]} {each}{'' if counts[each] == 1 else 's'}" for each in shown
    ]
    yield ", ".join([*parts, f"{counts[Verdict.UNKNOWN]} could not be seen"])


def as_json(findings: Sequence[Finding]) -> str:
    """Return the report as an object of JSON."""
    return json.dumps(_report(findings), indent=2)


def as_yaml(findings: Sequence[Finding]) -> str:
    """Return the same in YAML."""
    import yaml  # noqa: PLC0415  # 20 ms, for those who ask for it

    text: str = yaml.safe_dump(_report(findings), sort_keys=False)
    return text.rstrip("\n")


def _report(findings: Sequence[Finding]) -> dict[str, object]:
    counts = Counter(each.verdict for each in findings)
    return {
        "version": __version__,
        "faults": counts[Verdict.FAULT],
        "warnings": counts[Verdict.WARNING],
        "unknown": counts[Verdict.UNKNOWN],
        "findings": [
            {
                "check": each.check,
                "verdict": each.verdict.value,
                "text": each.text,
                "advice": each.advice,
            }
            for each in findings
        ],
    }
