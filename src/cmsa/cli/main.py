"""The command line: one table of commands, each a module that makes a thin call into the library."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from cmsa.cli import (
    app,
    benchmark,
    check,
    convert,
    evaluate,
    export,
    label,
    models,
    predict,
    prepare,
    recipes,
    report,
    serve,
    sweep,
    train,
    view,
)
from cmsa.cli.parser import HelpFormatter, Parser
from cmsa.cli.written import named_files, refuse_overwriting
from cmsa.files.visible import visible
from cmsa.guidance.errors import error_text
from cmsa.guidance.extras import REQUIRED, load, pip_line
from cmsa.version import __version__

COMMANDS: dict[str, ModuleType] = {
    "predict": predict,
    "label": label,
    "check": check,
    "prepare": prepare,
    "view": view,
    "train": train,
    "sweep": sweep,
    "report": report,
    "evaluate": evaluate,
    "convert": convert,
    "export": export,
    "benchmark": benchmark,
    "models": models,
    "recipes": recipes,
    "app": app,
    "serve": serve,
}
"""Each has ``TEXT``, ``EXAMPLES``, ``add_options(parser)`` and ``run(options, rest) -> exit code``; one with
``TAKES_OVERRIDES`` is given the entries of a recipe that are not options of its own; one that writes has
``written(options)``, see ``cmsa.cli.written``. Help is shown at once: a module imports what is heavy in ``run``, and in
the functions that read arguments."""
EXAMPLES = """
examples:
  cmsa predict pose photos --boxes boxes.json --save-pictures
  cmsa predict pose door.mp4 --detector motion --track --save-video
  cmsa train digits
  cmsa COMMAND --help
"""

USAGE_ERROR = 2
UNKNOWN = "unrecognized arguments"
"""What argparse, and jsonargparse of a recipe's entries, says of words that it does not know."""
COMPLETION = "_ARGCOMPLETE"
"""What a shell sets that asks, by argcomplete, how a line could go on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors the user can mend are told in one line, with exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show must not cost the result.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = build_parser()
    try:
        os.getcwd()
    except FileNotFoundError:
        # PyTorch ends the process where it finds no folder.
        parser.error("the folder that this is run in was removed: change to another one")
    if COMPLETION in os.environ:
        load("argcomplete", "completion").autocomplete(parser)
    try:
        options, rest = parser.parse_known_args(arguments)
    except ModuleNotFoundError as error:  # what arguments mean is looked up in the library
        parser.error(f"{error}{how_to_install(error)}")
    except KeyboardInterrupt:  # which takes some seconds
        return interrupted()
    run: Callable[[argparse.Namespace, list[str]], int] = options.run
    command: Parser = options.parser
    if rest and not options.takes_overrides:
        command.error(f"{UNKNOWN}: {' '.join(rest)}")
    try:
        written = getattr(COMMANDS[options.command], "written", None)
        if written is not None:
            refuse_overwriting(written(options), named_files(options))
        code = run(options, rest)
        _write_out()
        return code
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        # Whoever read the output has seen enough of it; Python must not try to write the rest.
        _write_no_more()
        return 128 + 13
    except (OSError, ValueError, RuntimeError, ArithmeticError, ImportError, MemoryError) as error:
        if options.traceback:
            raise
        told = error_text(error) or ("not enough memory" if isinstance(error, MemoryError) else type(error).__name__)
        if UNKNOWN in told and "did you mean" not in told:  # no entry of a recipe, so perhaps an option
            told += command.hint(rest)
        print(f"cmsa {options.command}: {visible(told, keep=chr(10))}{how_to_install(error)}", file=sys.stderr)
        # What was told to end says so with the code that shells know.
        return int(getattr(error, "exit_code", USAGE_ERROR))


def _write_out() -> None:
    """What was printed goes to where it is to go now: at its end Python could only say that it failed."""
    if sys.stdout is None:  # it was closed before the start
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _write_no_more()
        raise OSError(error.errno, f"standard output: {error.strerror}") from error


def _write_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def interrupted() -> int:
    """Say so; the exit code that shells know for Ctrl-C."""
    print("interrupted", file=sys.stderr)
    return 130


def how_to_install(error: BaseException) -> str:
    """The pip line for a package that is not installed; nothing for other errors, and for those that say it already."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or "pip install" in str(error):
        return ""
    all_of_it = error.name.partition(".")[0] in REQUIRED
    return f": {pip_line(error.name)}" + (" brings all that the commands need" if all_of_it else "")


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="cmsa",
        description="Vision on low-resolution crops: human pose, head pose, classification.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    parser.add_argument("--version", action="version", version=f"cmsa {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        # A recipe's entry must not be taken for the beginning of an option.
        command = commands.add_parser(
            name,
            help=module.TEXT,
            description=module.TEXT,
            epilog=module.EXAMPLES,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        takes_overrides = getattr(module, "TAKES_OVERRIDES", False)
        command.set_defaults(run=module.run, takes_overrides=takes_overrides, parser=command)
        module.add_options(command)
    return parser
