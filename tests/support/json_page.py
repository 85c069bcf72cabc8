"""Writes docs/json.md from the tables of commands and fields."""

from bgpd.api.commands import TABLE
from bgpd.api.fields import FORMS, Form
from bgpd.api.protocol import Kind

HEAD = """\
# JSON

What `pybgpctl ... -o json` prints, and what the [API](api.md) answers.
Words are those of the [glossary](glossary.md). Times of day are UTC in ISO 8601, durations are seconds, a key
whose name begins with `is_` or `has_` is true or false, and `null` says that there is nothing to say. Keys may be
added in any release; programs should ignore those that they do not know. Lines of the log are another matter:
[log events](log-events.md).

Types are those of JSON; `[]` is a list, `{}` an object whose keys are names, and `?` says that the value may be null.
A key with *optional* may be missing.

## Commands

| command | request | answer |
|---|---|---|
"""
DOCTOR = """
## pybgpd doctor

`pybgpd doctor -o json` prints one object.

| key | type | what it is |
|---|---|---|
| `version` | `string` | of the program |
| `faults`, `warnings`, `unknown` | `integer` | how many findings there are of each kind |
| `findings` | `object[]` | what was found |
| `check` | `string` | of a finding: what was examined, such as `port` or `datastore` |
| `verdict` | `string` | `ok`, `warning`, `fault` or `unknown` |
| `text` | `string` | what was found |
| `advice` | `string` | what to do about it; empty for nothing |
"""
COUNTS = {
    Kind.ROWS: "any number of [{0}](#{0})",
    Kind.OBJECT: "one [{0}](#{0})",
    Kind.LINES: "[{0}](#{0})",
    Kind.STREAM: "a stream of [{0}](#{0})",
}


def page() -> str:
    """Return the page."""
    rows = [
        f"| `{each.name}` | `{each.method} {each.path}` "
        f"| {COUNTS[each.kind].format(each.fields)} |\n"
        for each in TABLE
    ]
    return (
        HEAD
        + "".join(rows)
        + "".join(_section(n, f) for n, f in FORMS.items())
        + DOCTOR
    )


def _section(name: str, form: Form) -> str:
    rows = [
        f"| `{each.name}` | {_linked(each.type)}{' *optional*' if each.is_optional else ''} "
        f"| {each.help} |\n"
        for each in form.fields
    ]
    return f"\n## {name}\n\n{form.title}.\n\n| key | type | what it is |\n|---|---|---|\n{''.join(rows)}"


def _linked(text: str) -> str:
    name = text.rstrip("[]{}?")
    return f"[`{text}`](#{name})" if name in FORMS else f"`{text}`"
