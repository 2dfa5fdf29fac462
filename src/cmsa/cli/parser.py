"""The parser of each command: of what it does not know it says what was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from cmsa.files.visible import visible
from cmsa.guidance.suggestion import did_you_mean, options_of


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors end with what was probably meant."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's; the words are kept for what may have to be said of them.

        Whoever asks a command for help has it at once, whatever else the line says: what its words mean is looked up
        in the library, which takes seconds.
        """
        self._given = sys.argv[1:] if args is None else list(args)
        if not self._commands() and not {"-h", "--help"}.isdisjoint(self._given):
            self.print_help()
            self.exit()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """What the command cannot do without, message and hint, then exit code 2."""
        listed = f"; {self.prog} --help lists them" if message.endswith(" required: COMMAND") else ""
        told = visible(message + (_minus_hint(message) or self.hint(self._given) or listed))
        self.exit(2, f"{self._short_usage()}{self.prog}: error: {told}\n")

    def _short_usage(self) -> str:
        """A line or two in place of a screen of options, which would hide the message."""
        needed = [action for action in self._actions if action.required or not action.option_strings]
        formatter = self._get_formatter()
        formatter.add_usage(f"%(prog)s [-h] [OPTION ...]{self._written(needed)}", self._actions, [])
        return formatter.format_help()

    def _written(self, actions: Sequence[argparse.Action]) -> str:
        formatter = argparse.HelpFormatter("", width=10_000)
        formatter.add_usage(None, actions, [], prefix=" ")
        return formatter.format_help().rstrip()

    def hint(self, words: Sequence[str]) -> str:
        """What the options among the words may have been; of a parser of commands its first word that is none."""
        commands = self._commands()
        if commands:
            # What follows a command, or what was meant for one, is the command's.
            end = next((place + 1 for place, word in enumerate(words) if not word.startswith("-")), len(words))
            return did_you_mean(words[:end], [*self._option_string_actions, *commands])
        return did_you_mean(options_of(words), self._option_string_actions)

    def _commands(self) -> list[str]:
        return [name for action in self._actions if isinstance(action.choices, dict) for name in action.choices]


def _minus_hint(message: str) -> str:
    """What to write where argparse took a value such as ``-5,0,20,40`` for an option."""
    named = re.fullmatch(r"argument (--[\w-]+): expected (?:one|at least one) argument", message)
    return f"; a value that begins with a minus is written {named[1]}=-5..." if named else ""


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs, but leaves examples, which are there to be copied, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("\n"):
            return textwrap.indent(text.strip(), indent)
        return super()._fill_text(text, width, indent)
