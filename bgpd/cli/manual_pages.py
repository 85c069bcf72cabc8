"""Manual pages and completions of shells, made from what the commands say of themselves.

``setup.py`` puts them into each wheel: the pages hold every command and option that ``--help`` shows,
and the sections below.
"""

import inspect
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click
from click.shell_completion import ShellComplete, get_completion_class

from bgpd import __version__
from bgpd.cli import control, daemon

SECTION: Final = 8
PROGRAMS: Final = {"pybgpd": daemon.main, "pybgpctl": control.main}
# Where each shell looks, below share; click's scripts ask the program itself, so they are short.
COMPLETIONS: Final = MappingProxyType(
    {
        "bash": "bash-completion/completions/{}",
        "zsh": "zsh/site-functions/_{}",
        "fish": "fish/vendor_completions.d/{}.fish",
    }
)
FILES: Final = {
    "/etc/pybgpd/pybgpd.yaml": "The configuration that pybgpd.service reads.",
    "/etc/pybgpd/pybgpd.env": "Options and environment variables of pybgpd.service.",
    "/etc/pybgpd/reflector-NAME.yaml": (
        "The configuration that pybgpd-reflector@NAME.service reads."
    ),
    "/run/pybgpd/pybgpd.sock": "The control socket of pybgpd.service.",
    "/usr/share/doc/pybgpd": "The documentation, and examples.",
}
EXIT_STATUS: Final = {
    "pybgpd": {
        "0": "Stopped by SIGTERM or SIGINT.",
        "1": "It cannot start; start it again.",
        "2": "Wrong usage.",
        "71": "Out of memory; start it again.",
        "78": "The configuration is wrong; starting again does not help.",
    },
    "pybgpctl": {
        "0": "Success.",
        "1": "The daemon reported an error.",
        "2": "Wrong usage.",
        "3": "The daemon cannot be reached.",
    },
}


def escaped(text: str) -> str:
    """Return text as roff has it, hyphens as they are typed."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def paragraphs(text: str) -> Iterator[str]:
    """Yield the lines of a command's help; click's mark keeps those of a paragraph."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.splitlines()
        yield ".PP"
        if lines[0] == "\b":
            yield ".nf"
            yield from map(escaped, lines[1:])
            yield ".fi"
        else:
            yield from map(escaped, lines)


def described(rows: dict[str, str]) -> Iterator[str]:
    """Yield a list of terms with their descriptions."""
    for term, text in rows.items():
        yield ".TP"
        yield f"\\fB{escaped(term)}\\fR"
        yield escaped(text)


def options(command: click.Command, context: click.Context) -> dict[str, str]:
    """Return the options of a command with their help, where they have any, without ``--help``."""
    records = (each.get_help_record(context) for each in command.params)
    rows = ((term, " ".join(text.split())) for term, text in filter(None, records))
    return {term: text for term, text in rows if text}


def commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield the commands below one, with their contexts."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is None or below.hidden:
            continue
        inner = click.Context(below, info_name=name, parent=context)
        if not isinstance(below, click.Group):
            yield below, inner
        yield from commands(below, inner)


def page(name: str, moment: float) -> str:
    """Return the page of a program, dated by a moment of Unix time."""
    main = PROGRAMS[name]
    context = click.Context(main, info_name=name)
    usage = " ".join(main.collect_usage_pieces(context))
    help_text = inspect.cleandoc(main.help or "")
    summary = help_text.splitlines()[0].rstrip(".").removeprefix("A ")
    day = time.strftime("%Y-%m-%d", time.gmtime(moment))
    (other,) = PROGRAMS.keys() - {name}
    lines = [
        f'.TH {name.upper()} {SECTION} "{day}" "pybgpd {__version__}" "pybgpd"',
        ".nh",  # no words are divided, and no lines filled with spaces
        ".ad l",
        ".SH NAME",
        f"{name} \\- {escaped(summary)}",
        ".SH SYNOPSIS",
        f"\\fB{name}\\fR {escaped(usage)}",
        ".SH DESCRIPTION",
        *paragraphs(help_text),
        ".SH OPTIONS",
        *described(options(main, context)),
        *described({"-h, --help": "Show what a command does, and exit."}),
        ".SH COMMANDS",
    ]
    for command, inner in commands(main, context):
        usage = " ".join(command.collect_usage_pieces(inner))
        lines.append(f'.SS "{escaped(f"{inner.command_path} {usage}")}"')
        lines += paragraphs(command.help or "")
        lines += described(options(command, inner))
    lines += [".SH FILES", *described(FILES)]
    lines += [".SH EXIT STATUS", *described(EXIT_STATUS[name])]
    lines += [".SH SEE ALSO", f".BR {other} ({SECTION})"]
    return "\n".join(lines) + "\n"


def completion(name: str, shell: str) -> str:
    """Return the script that makes a shell complete a program's words."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click completes nothing in {shell}")
    variable = f"_{name.upper()}_COMPLETE"
    # Not bash's own method, which runs bash to see its version.
    return ShellComplete.source(kind(PROGRAMS[name], {}, name, variable))


def write_shared(folder: Path, moment: float) -> list[Path]:
    """Write what belongs below ``share``; return the files, relative to ``folder``.

    Args:
        folder: Made where it is missing.
        moment: The date of the pages, Unix time.
    """
    texts = {}
    for name in PROGRAMS:
        texts[f"man/man{SECTION}/{name}.{SECTION}"] = page(name, moment)
        for shell, place in COMPLETIONS.items():
            texts[place.format(name)] = completion(name, shell)
    for place, text in texts.items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return [Path(place) for place in texts]
