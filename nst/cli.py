"""The command line: words -> a command -> exit status.

Exit status: 0 for done, 1 if what was asked could not be printed to the end or some pictures of a
batch failed, 2 for what the user can mend (one line says how), 130 for Ctrl-C, 143 for SIGTERM:
128 and the signal's number, as shells have it.

A command, and what it takes, is imported once it is named: help comes at once.
"""

import argparse
import re
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from nst import streams
from nst.errors import (
    NstError,
    NstWarning,
    meant,
    naming_options,
    of_system,
    readable,
    reason_of,
    with_notes,
)
from nst.signals import NoSteps, Signals, held
from nst.terminal import say, show_warning, tell


class Command(NamedTuple):
    """What a word of the command line stands for."""

    place: str  # module:function; what it returns is the exit status
    help: str
    arguments: str = ""  # the function of arguments.py that adds them; none: it takes nothing
    question: bool = False  # it leaves nothing but what it prints


HERE = "nst.commands"
COMMANDS = {
    "stylize": Command(f"{HERE}:stylize", "Paint CONTENT in the style of STYLE.", "add_stylize"),
    "estimate": Command(
        f"{HERE}:estimate",
        "Say what painting CONTENT in the style of STYLE would take, and paint nothing.",
        "add_estimate",
        question=True,
    ),
    "demo": Command(
        f"{HERE}:demonstrate",
        "Paint the photograph that comes with matplotlib: nothing to download.",
        "add_demo",
    ),
    "batch": Command(
        "nst.many.commands:batch",
        "Paint each PHOTO in each style; what is there already is skipped.",
        "add_batch",
    ),
    "sheet": Command(
        "nst.many.commands:sheet",
        "Paint PHOTO small in several styles, on one page to choose by.",
        "add_sheet",
    ),
    "video": Command(
        "nst.film.commands:video",
        "Paint FILM frame by frame; strokes move with what they are on.",
        "add_video",
    ),
    "studio": Command(
        "nst.studio.command:studio",
        "Open a page to paint in, in your browser; it needs no network.",
        "add_studio",
    ),
    "resume": Command(
        f"{HERE}:resume",
        "Go on with a run that was stopped, from its checkpoints in FOLDER.",
        "add_resume",
    ),
    "report": Command(
        f"{HERE}:report",
        "Show a run that was stopped, or still goes on, from its checkpoints in FOLDER.",
        "add_report",
    ),
    "lesson": Command(
        "nst.lesson.commands:lesson",
        "Take style transfer apart in the browser, number by number, on your pictures or ours.",
        "add_lesson",
    ),
    "recipes": Command(
        f"{HERE}:list_recipes",
        "List the published objectives that --recipe takes, or print one in full.",
        "add_recipes",
        question=True,
    ),
    "export": Command(
        f"{HERE}:export",
        "Write the forward and the backward graph of a model as .onnx files.",
        "add_export",
    ),
    "models": Command(
        f"{HERE}:models",
        "List the known models, which are installed, and where their weights come from.",
        question=True,
    ),
    "models fetch": Command(
        f"{HERE}:fetch",
        "Bring official weights from the web: verified, converted once, ready for --model.",
        "add_fetch",
    ),
    "models add": Command(
        f"{HERE}:add",
        "Make a model of weights that you have: .h5, .safetensors, .onnx or .npz.",
        "add_add",
    ),
    "doctor": Command(
        f"{HERE}:doctor", "Print what is installed, and what is wrong.", question=True
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``nst`` and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    words = words or ["--help"]
    with streams.lenient() as output, naming_options():
        arguments = vars(_parser(words).parse_args(words))
        if arguments.get("source") is not None:  # that run decides what is not given
            arguments = vars(_parser(words, defaults=False).parse_args(words))
        command = COMMANDS[arguments.pop("command")]
        status = _run(partial(_call, command.place), arguments)
        output.flush()
        return status or int(_unheard(output, command.question, arguments.get("as_json", False)))


def _unheard(output: streams.Lenient, question: bool, as_json: bool) -> bool:
    """Return whether something that was asked for was printed, and has not arrived; say so.

    A reader that left, as ``head`` does, did so of its own accord: it has what it wanted, however
    much that was, and how far the printing had come by then is chance.
    """
    failure = output.failure
    if failure is None or isinstance(failure, BrokenPipeError) or not (question or as_json):
        return False
    say(f"nst: standard output did not take all that was printed: {reason_of(failure)}.")
    return True


def _function(place: str) -> Callable[..., int]:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _call(place: str, /, **arguments: Any) -> int:
    """Call the function at ``place``, whose module is imported first."""
    with held():  # a library whose start is cut short would seem not to be installed
        function = _function(place)
    return function(**arguments)


def _run(command: Callable[..., int], arguments: dict[str, Any]) -> int:
    """Return the exit status of a command; say in one line what ended it, but for a bug."""
    with warnings.catch_warnings():
        if not sys.warnoptions:  # a library's own words are for who asks for them
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", NstWarning)
        warnings.showwarning = show_warning
        try:
            with Signals(NoSteps()) as signals:  # of what is in steps: many/commands.py
                try:
                    return command(**arguments)
                except Exception:
                    signals.check()  # a library that was cut short says something of its own
                    raise
        except NstError as error:
            say("nst:", with_notes(error))
            return 2
        except KeyboardInterrupt as interrupt:
            notes = getattr(interrupt, "__notes__", ["Nothing was written yet."])
            say()  # below the ^C that the terminal shows
            say("nst: interrupted.", *notes)
            return 128 + getattr(interrupt, "number", signal.SIGINT)
        except Exception as error:
            from nst import memory

            if not (isinstance(error, OSError) or memory.ran_out(error)):
                raise
            if isinstance(error, OSError):  # the machine refuses, wherever that was
                say("nst:", with_notes(error, of_system(error)))
                return 2
            advice = "use a smaller --size, or let --memory name less, for smaller tiles."
            say("nst:", with_notes(error, f"memory ran out; {advice}"))
            return 2


# --- The parser -------------------------------------------------------------------------------


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one; what is None is left to the recipe."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return (
            action.help
            if action.default is None or isinstance(action.default, bool)
            else super()._get_help_string(action)
        )


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, and what was meant where that is near."""

    def error(self, message: str) -> NoReturn:
        said = readable(message, longest_word=40)  # it lists what to choose from, too
        if choice := re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", said):
            said += _asked([choice[1]], re.findall(r"[\w.-]+", choice[2]))
        see = " See" if said.endswith("?") else "; see"
        self.exit(2, f"nst: {said}{see} `{self.prog} --help`.\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what the words ``args`` say; end with status 2 at one that is unknown."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            below = self._below(found.command)
            said = readable(f"unrecognized arguments: {' '.join(unknown)}", longest_word=40)
            options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            below.error(said + _asked(options, below._option_string_actions))
        return found

    def _below(self, command: str) -> "_Parser":
        """Return the parser of a command, such as "models add"."""
        parser: Any = self
        for word in command.split():
            parser = parser._subparsers._group_actions[0].choices[word]
        return parser


def _asked(words: Iterable[str], known: Iterable[str]) -> str:
    """Return a question behind a message: whether some of ``known`` were meant."""
    question = meant([word.replace("_", "-") for word in words if len(word) < 60], known)
    return f"; {question}" if question else ""


class _Version(argparse.Action):
    """Prints the version; that is looked up among what is installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from nst.version import VERSION

        tell(f"nst {VERSION}")
        parser.exit()


def _parser(words: Collection[str] | None = None, defaults: bool = True) -> _Parser:
    """Return the parser of ``words``: of the other commands it knows only what they are for.

    Without ``words`` it is that of any.  Without ``defaults`` it tells only what was given of the
    settings.
    """
    parser = _Parser(prog="nst", description="Paint one image in the style of another.")
    parser.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        default=argparse.SUPPRESS,
        help="show program's version number and exit",
    )
    below = {"": parser.add_subparsers(required=True, metavar="COMMAND", title="commands")}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in below:
            below[group] = (
                below[""].choices[group].add_subparsers(metavar="COMMAND", title="commands")
            )
        sub = below[group].add_parser(
            word, help=command.help, description=command.help, formatter_class=_Formatter
        )
        sub.set_defaults(command=name)
        if command.arguments and (words is None or set(name.split()) <= set(words)):
            add = getattr(import_module("nst.arguments"), command.arguments)
            add(sub, defaults)
    return parser
