"""Commands as people type them: shortened, or in the words of birdcl, vtysh, bgpctl and gobgp.

Phrases of other programs come first, unless their one word may be a command here. A word may be
shortened as long as it stays unambiguous. An error names the nearest commands.
"""

from collections.abc import Sequence
from typing import Final

import click

from bgpd.cli.foreign_words import Phrase

_NEAREST: Final = 3  # commands that an error names first
_SHORTEST: Final = 2  # letters of a word in a phrase of another program


class WordGroup(click.Group):
    """Commands that can be shortened, and called as in other programs.

    Attributes:
        phrases: What other programs say for them.
        spelled_out: Commands that are never meant by a shorter word.
    """

    phrases: Sequence[Phrase] = ()
    spelled_out: Sequence[str] = ()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name.

        Raises:
            UsageError: It is none, or could be several.
        """
        # A shell has not typed the end yet, by which some phrases differ from ours.
        is_unfinished = ctx.resilient_parsing and args[0] in self.commands
        words = args if is_unfinished else self.translate(args)
        name = self._find(words[0])
        if name is None:
            if not ctx.resilient_parsing:  # a shell asks what could come
                ctx.fail(self._problem(words[0]))
            return None, None, words
        return name, self.commands[name], words[1:]

    def translate(self, args: Sequence[str]) -> list[str]:
        """Return words in which ours stand for those of other programs."""
        words = list(args)
        for _ in self.phrases:  # each brings another word to the front
            translated = _translated(
                words, self.phrases, is_ours=bool(self._begin_with(words[0]))
            )
            if translated is None or translated == words:
                break
            words = translated
        return words

    def _find(self, word: str) -> str | None:
        if word in self.commands:
            return word
        begins = self._begin_with(word)
        return begins[0] if len(begins) == 1 else None

    def _begin_with(self, word: str) -> list[str]:
        return sorted(
            name
            for name in self.commands
            if name.startswith(word) and name not in self.spelled_out
        )

    def _problem(self, word: str) -> str:
        begins = self._begin_with(word)
        if begins:
            return f"{word!r} is ambiguous: {', '.join(begins)}"
        full_names = {name: name for name in self.commands}
        for name, command in self.commands.items():
            if isinstance(command, click.Group):
                for inner in command.commands:
                    full_names.setdefault(inner, f"{name} {inner}")
        near = [full_names[name] for name in nearest_names(word, list(full_names))]
        if near:
            return f"there is no command {word!r}; did you mean {' or '.join(near)}?"
        return f"there is no command {word!r}; commands: {', '.join(sorted(self.commands))}"


def _translated(
    words: Sequence[str], phrases: Sequence[Phrase], *, is_ours: bool
) -> list[str] | None:
    """Return the words that the first phrase that fits gives; ``None`` where none does.

    Args:
        words: As typed.
        phrases: To try.
        is_ours: The first word may name our command: more of a phrase must follow it.
    """
    for phrase in phrases:
        typed = phrase.typed.split()
        if is_ours and len(typed) == 1:
            continue
        found = _match(words, typed)
        if found is not None:
            argument, length = found
            ours = [argument if w == "*" else w for w in phrase.ours.split()]
            return [*ours, *words[length:]]
    return None


def _match(words: Sequence[str], typed: Sequence[str]) -> tuple[str, int] | None:
    """Return the word at ``*``, and how many words a phrase takes."""
    argument = ""
    for index, wanted in enumerate(typed):
        word = words[index] if index < len(words) else ""
        if wanted == "$":
            return (argument, index) if not word or word.startswith("-") else None
        if not word or (word.startswith("-") and word != wanted):
            return None
        if wanted == "*":
            argument = word
        elif word != wanted and not (
            len(word) >= _SHORTEST and wanted.startswith(word)
        ):
            return None
    return argument, len(typed)


def nearest_names(word: str, names: Sequence[str]) -> list[str]:
    """Return the names that a word may have been meant for, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415  # only where something is wrong

    return get_close_matches(word, names, n=_NEAREST, cutoff=0.5)
