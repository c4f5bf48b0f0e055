"""``lmstudio unload``: unload models by their identifiers, or all."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import lmstudio as lms

from ._errors import CommandError, list_some, nearest
from ._fits import WHOLE, fitting, with_infos
from ._name import program_name
from ._screen import one_line
from ._show import print_json

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Unload what was named, and print the identifiers; return 0, or 2 if nothing was named.

    Raises:
        CommandError: A name fits no loaded model, or several; nothing was unloaded.
        LMStudioError: The server cannot be asked.
    """
    name = program_name()
    if bool(options.models) == options.all:
        raise CommandError(
            "Name the models to unload, or all of them.",
            f"Which there are: {name} ps",
            f"All: {name} unload --all",
            code=2,
        )
    with lms.Client(options.host) as client:
        loaded: list[Any] = list(client.list_loaded_models())
        names = options.models
        chosen = loaded if options.all else [_find(loaded, text, names) for text in names]
        done = []
        for model in dict.fromkeys(chosen):
            try:
                model.unload()
            except lms.LMStudioModelNotFoundError:
                if not options.all:
                    raise
                continue  # somebody else was quicker
            done.append(model.identifier)
            if not options.json:
                print(one_line(f"Unloaded: {model.identifier}"), flush=True)
        if options.json:
            print_json({"unloaded": done})
        elif not done:
            print("No model is loaded.", file=sys.stderr)
    return 0


def _find(loaded: list[Any], text: str, others: list[str]) -> Any:
    """Return the model of that identifier, or the only one of that name; others are named, too."""
    by_name = {model.identifier: model for model in loaded}
    if text in by_name:
        return by_name[text]
    name = program_name()
    found = list(with_infos(loaded))
    same = [found[place][0] for place in fitting([info for _, info in found], text, WHOLE)]
    if len(same) == 1:
        return same[0]
    if same:
        hints = [f"{name} unload {model.identifier}" for model in same]
        raise CommandError(f"{text} is loaded {len(same)} times. Which one?", *hints)
    if not loaded:
        raise CommandError(f"{text!r} is not loaded; no model is.")
    guess = nearest(text, [identifier for identifier in by_name if identifier not in others])
    raise CommandError(
        f"{text!r} is not loaded.",
        "" if guess is None else f"Did you mean: {name} unload {guess}",
        f"Loaded: {list_some(list(by_name), text)}",
    )
