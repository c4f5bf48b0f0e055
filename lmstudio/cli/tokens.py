"""``lmstudio tokens``: how many tokens a text is for a model, and which."""

from __future__ import annotations

import argparse
from typing import Any

import lmstudio as lms

from ._bar import Bar
from ._model import find_kind, get_embedding_model, get_model
from ._show import print_json
from ._texts import whole_text

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print the number of tokens, or the tokens, a number a line; return 0.

    Raises:
        CommandError: There is no text, or no model.
        OSError: The file cannot be read.
        LMStudioError: The server cannot be asked.
    """
    text = whole_text(options.text, options.file)
    with lms.Client(options.host) as client:
        key = options.model
        is_embedding = key is not None and find_kind(client, key) == "embedding"
        find: Any = get_embedding_model if is_embedding else get_model
        model = find(client, key, Bar())
        tokens = model.tokenize(text) if options.ids else []
        count = len(tokens) if options.ids else model.count_tokens(text)
    if options.json:
        ids = {"tokens": tokens} if options.ids else {}
        print_json({"model": model.identifier, "count": count, **ids})
    else:
        for number in tokens if options.ids else [count]:
            print(number)
    return 0
