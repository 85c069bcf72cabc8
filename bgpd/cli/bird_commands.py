"""BIRD's commands, and which of them a shortened word means. Pure.

BIRD's clients complete each word before they send a command: a word that is one of the
words at its place is that one, else it is the only one that begins so; from the first word
that is none on, the rest is arguments. Where several begin so the command is ambiguous, and
nothing is sent.

Words that only lead to commands which the daemon does not answer give way to those that
lead to others, as ``roa`` and ``rip`` do in BIRD: so ``show st`` is ``show status`` although
BIRD has a ``show static`` too. All that BIRD's clients complete means the same here.
"""

from typing import Final

_ONE_OF: Final = '(<protocol> | "<pattern>" | all)'
# What the daemon answers: the words, arguments, and what it does.
ANSWERED: Final = (
    ("show status", "", "Show router status"),
    ("show protocols", '[<protocol> | "<pattern>"]', "Show routing protocols"),
    ("show protocols all", '[<protocol> | "<pattern>"]', "Show protocols in detail"),
    (
        "show route",
        "[[for] <prefix>] [all] [primary] [protocol <p>] [(export | noexport) <p>] ...",
        "Show routing table",
    ),
    ("show interfaces", "", "Show network interfaces"),
    ("show interfaces summary", "", "Show summary of network interfaces"),
    ("configure", "", "Reload configuration"),
    ("configure soft", "", "Reload configuration"),
    ("configure check", "", "Check configuration"),
    ("down", "", "Shut the daemon down"),
    ("enable", _ONE_OF, "Enable protocol"),
    ("disable", _ONE_OF, "Disable protocol"),
    ("restart", _ONE_OF, "Restart protocol"),
    ("reload", _ONE_OF, "Reload protocol"),
    ("reload in", _ONE_OF, "Reload protocol (just imported routes)"),
    ("reload out", _ONE_OF, "Reload protocol (just exported routes)"),
    ("restrict", "", "Restrict current session to safe commands"),
    ("echo", "...", "Control echoing of log messages"),
    ("help", "", "Describe the commands"),
    ("?", "", "Describe the commands"),
    ("exit", "", "Exit the client"),
    ("quit", "", "Quit the client"),
)
_OTHERS: Final = (
    "show memory",
    "show static",
    "show symbols",
    "show roa",
    "show bfd sessions",
    "show babel interfaces",
    "show babel neighbors",
    "show babel entries",
    "show ospf",
    "show ospf neighbors",
    "show ospf interface",
    "show ospf topology",
    "show ospf topology all",
    "show ospf state",
    "show ospf state all",
    "show ospf lsadb",
    "show rip interfaces",
    "show rip neighbors",
    "configure timeout",
    "configure soft timeout",
    "configure confirm",
    "configure undo",
    "add roa",
    "delete roa",
    "flush roa",
    "dump resources",
    "dump sockets",
    "dump events",
    "dump interfaces",
    "dump neighbors",
    "dump attributes",
    "dump routes",
    "dump protocols",
    "eval",
    "debug",
    "mrtdump",
    "mrt dump",
)
NO_SUCH_COMMAND: Final = "No such command. Type help for a list."
AMBIGUOUS: Final = "Ambiguous command, possible expansions are:"


class CommandError(ValueError):
    """A command cannot be completed; the text says why, in one line or several."""


class _Word:
    """A word at its place, and those that may follow it.

    A plain class: probes start the client every few seconds, and pay for each import.

    Attributes:
        command: What ends here, in full; empty for nothing.
        is_answered: Whether it leads to a command that the daemon answers.
        usage: Arguments and what it does, for people; of commands that are answered.
        following: By their text.
    """

    __slots__ = ("command", "following", "is_answered", "usage")

    def __init__(self) -> None:
        self.command = ""
        self.is_answered = False
        self.usage = ("...", "")
        self.following: dict[str, _Word] = {}


def _tree() -> _Word:
    root = _Word()
    answered = [(text, (args, title), True) for text, args, title in ANSWERED]
    for text, usage, is_answered in [
        *answered,
        *((text, ("...", ""), False) for text in _OTHERS),
    ]:
        word = root
        for part in text.split():
            word = word.following.setdefault(part, _Word())
            word.is_answered |= is_answered
        word.command, word.usage = text, usage
    return root


_ROOT: Final = _tree()


def expand(line: str) -> str:
    """Return a command with each of its words in full, as BIRD's clients do.

    Args:
        line: As typed; arguments stay unchanged.

    Raises:
        CommandError: Several commands begin so, or none does.
    """
    word, rest, path = _ROOT, line.strip(), ""
    while rest:
        part, *after = rest.split(maxsplit=1)
        found = _find(word, part, path)
        if found is None:
            break
        path = f"{path} {found}".strip()
        word, rest = word.following[found], "".join(after)
    if not word.command:
        raise CommandError(NO_SUCH_COMMAND)
    return f"{word.command} {rest}".rstrip()


def _find(word: _Word, part: str, path: str) -> str | None:
    """Return the word that ``part`` means after ``word``; ``None`` where it is none."""
    if part in word.following:
        return part
    fitting = [text for text in word.following if text.startswith(part)]
    answered = [text for text in fitting if word.following[text].is_answered]
    chosen = answered or fitting
    if len(chosen) > 1:
        lines = (_describe(f"{path} {text}", word.following[text]) for text in chosen)
        raise CommandError("\n".join((AMBIGUOUS, *lines)))
    return chosen[0] if chosen else None


def _describe(path: str, word: _Word) -> str:
    arguments, title = word.usage
    return f"{f'{path} {arguments}'.strip():<45s}  {title}".rstrip()
