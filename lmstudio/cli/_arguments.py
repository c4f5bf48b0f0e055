"""What a command line is read with: what is mistyped is refused, with the nearest name."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

__all__ = ["AddHost", "Parser"]

# What other programs of this kind call our commands.
_ELSEWHERE = {
    **{"list": "ls", "models": "ls", "status": "ps", "run": "chat", "ask": "chat"},
    **{"pull": "download", "get": "download", "search": "download", "stop": "unload"},
    **{"log": "logs", "embeddings": "embed", "tokenize": "tokens", "count": "tokens"},
}


class _Help(argparse.HelpFormatter):
    """Wraps what a command is for, and leaves lines that are set in, such as examples, alone."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(
            line if line.startswith("  ") else fill(line, width, indent)
            for line in text.splitlines()
        )


class Parser(argparse.ArgumentParser):
    """A parser that refuses what it does not know with the nearest name."""

    def __init__(self, **settings: Any) -> None:
        """Make one; no option may be shortened, for that may mean another one tomorrow."""
        super().__init__(formatter_class=_Help, **{**settings, "allow_abbrev": False})
        self.commands: dict[str, Parser] = {}
        self._given: list[str] = []

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the arguments; the command says what it does not know, with its own usage."""
        arguments = list(sys.argv[1:] if args is None else args)
        if arguments[:1] == ["help"]:
            arguments = [*arguments[1:2], "--help"]
        self._check_beginning(arguments)
        options, unknown = self.parse_known_args(arguments, namespace)
        if unknown:
            command = self.commands.get(getattr(options, "program", ""), self)
            command.refuse(unknown)
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return what is known and the rest; keep what was given, for what is wrong with it."""
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _check_beginning(self, arguments: list[str]) -> None:
        """Refuse an unknown option before the command, whose value would be taken for that."""
        beginning = iter(arguments)
        for text in beginning:
            if not text.startswith("-"):
                return
            name, sign, _ = text.partition("=")
            action = self._option_string_actions.get(name)
            if action is None:
                self.refuse([name])
            if action.nargs is None and not sign:
                next(beginning, None)  # its value

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Leave, saying which arguments are unknown."""
        name = next((text for text in unknown if text.startswith("-")), unknown[0])
        name = name.partition("=")[0] if name.startswith("-") else name
        known = [text for action in self._actions for text in action.option_strings]
        kind = "option" if name.startswith("-") else "argument"
        self.leave(f"unknown {kind} {name!r}", _nearest(name, known))

    def error(self, message: str) -> NoReturn:
        """Leave: the arguments cannot be understood."""
        wrong = re.search(r"argument COMMAND: invalid choice: '(.*?)'", message)
        if wrong is not None:
            instead = _ELSEWHERE.get(wrong[1]) or _nearest(wrong[1], self.commands)
            self.leave(f"unknown command {wrong[1]!r}", instead, "All commands")
        if message.startswith("the following arguments are required"):
            typed = itertools.takewhile(lambda text: text != "--", self._given)
            names = [text.partition("=")[0] for text in typed if text.startswith("--")]
            unknown = [name for name in names if name not in self._option_string_actions]
            if unknown:  # it may be why something lacks
                self.refuse(unknown)
        self.leave(message, None)

    def leave(self, what: str, instead: str | None, all_of: str = "All options") -> NoReturn:
        """Say what is wrong, and end the program with the code for it."""
        lines = [f"lmstudio: {what}."]
        if instead is not None:
            lines.append(f"Did you mean: {instead}")
        lines.append(f"{all_of}: {self.prog} --help")
        self.exit(2, "\n  ".join(lines) + "\n")


class AddHost(argparse.Action):
    """Takes a host; a second one is refused, or taken, too, and never replaces the first."""

    def __init__(self, *arguments: Any, given: list[str], is_list: bool, **settings: Any) -> None:
        """Take what is given anywhere on the command line, and whether that may be several."""
        super().__init__(*arguments, **settings)
        self._given = given
        self._is_list = is_list

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        self._given.append(values)
        if "," in values:
            once = "Give --host once for each host" if self._is_list else "Give one host"
            parser.error(f"{values!r} is no host. {once}")
        if len(self._given) > 1 and not self._is_list:
            parser.error("only one host can be used here: give --host once")
        setattr(namespace, self.dest, list(self._given) if self._is_list else values)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    import difflib  # only here: most runs need it not

    # Without their dashes, which would make all options alike.
    by_word = {text.lstrip("-"): text for text in known}
    found = difflib.get_close_matches(name.lstrip("-"), by_word, 1)
    return by_word[found[0]] if found else None
