"""Write nst/OPTIONS.md: every command and option, as `nst --help` tells them.

    python scripts/options.py

The page is made from the parser itself, and a test compares the two: it cannot go out of date.
"""

import argparse
from pathlib import Path

from nst import cli

PAGE = Path(__file__).parent.parent / "nst" / "OPTIONS.md"
OPENING = """\
# Commands and options

What `nst COMMAND --help` prints, on one page; made by `python scripts/options.py`.
An option without a default leaves the choice to the recipe, or does nothing until it is given;
but for those that are required.
"""


def page() -> str:
    """Return the text of the page; a command that takes what `nst stylize` does says so."""
    parts, stylize, options = [OPENING], set[str](), list[str]()
    for words, parser in commands(cli._parser(), ()):
        parts.append(f"## nst {' '.join(words)}\n\n{parser.description}\n")
        rows = [row(action) for action in parser._actions if shown(action)]
        own = [line for line in rows if line not in stylize]
        if 2 * len(own) < len(rows) > len(stylize) / 2:
            lacking = [f"`{name}`" for name in options if name not in longest(parser)]
            but = f", but for {', '.join(lacking)}" if lacking else ""
            parts.append(f"It takes what `nst stylize` takes{but}.\n")
            rows = own
        if rows:
            parts.append("| | default | |\n|---|---|---|\n" + "".join(rows))
        stylize, options = stylize or set(rows), options or longest(parser)
    return "\n".join(parts)


def longest(parser: argparse.ArgumentParser) -> list[str]:
    """Return the name of every argument that a command has: of an option the long one."""
    return [[_named(action), *action.option_strings][-1] for action in parser._actions]


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> list[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Return every command below ``parser`` as its words and its own parser, in order."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found += [((*words, name), below), *commands(below, (*words, name))]
    return found


def shown(action: argparse.Action) -> bool:
    """Return whether an action is an argument that a person gives."""
    return not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)


def row(action: argparse.Action) -> str:
    """Return the line of the table for one argument."""
    wanted = _wanted(action)
    *short, last = action.option_strings or [""]
    first = ", ".join(f"`{name}`" for name in [*short, f"{last} {wanted}".strip()])
    given = not (
        isinstance(action.default, bool) or action.default in (None, [], argparse.SUPPRESS)
    )
    default = f"`{action.default}`" if given and action.option_strings else ""
    if action.required and action.option_strings:
        default = "required"
    return f"| {first} | {default} | {_in_a_cell(action.help or '')} |\n".replace("|  |", "| |")


def _wanted(action: argparse.Action) -> str:
    """Return what is to be given, such as FILE or one of a few words; "" for a switch."""
    if action.nargs == 0:
        return ""
    if action.metavar is None and action.choices is not None:
        return _in_a_cell("|".join(map(str, action.choices)))
    return _in_a_cell(_named(action))


def _named(action: argparse.Action) -> str:
    """Return what an argument's value is called, such as CONTENT."""
    return str(action.metavar or action.dest.upper())


def _in_a_cell(text: str) -> str:
    """Return ``text`` for a cell of a table, where a bar would end it."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
