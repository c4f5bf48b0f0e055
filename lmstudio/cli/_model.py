"""The model that a program talks with, by its key; and what to do if there is none."""

from __future__ import annotations

from typing import Any, Literal

import lmstudio as lms

from ._errors import CommandError, list_some, nearest
from ._fits import fitting
from ._name import program_name
from ._screen import Screen

__all__ = ["find_kind", "get_embedding_model", "get_model", "no_such_model"]

_LIMIT = 5.0  # seconds to ask what there is instead
_WHAT = {"llm": "language model", "embedding": "embedding model"}


def get_model(client: lms.Client, key: str | None, screen: Screen, **limits: Any) -> lms.LLM:
    """Return the language model of that key, loading it if need be; None: any that is loaded.

    Raises:
        CommandError: There is none; it says which there are.
        LMStudioError: It cannot be loaded.
    """
    model: lms.LLM = _get(client, "llm", key, screen, **limits)
    return model


def get_embedding_model(
    client: lms.Client, key: str | None, screen: Screen, **limits: Any
) -> lms.EmbeddingModel:
    """Return an embedding model in the same way."""
    model: lms.EmbeddingModel = _get(client, "embedding", key, screen, **limits)
    return model


def find_kind(client: lms.Client, key: str) -> Literal["llm", "embedding"]:
    """Return of which kind the model of a key is, or the loaded one of that identifier.

    Where nobody knows it, it is said to be a language model: the server then says more.
    """
    infos = [model.info for model in client.list_downloaded_models()]
    if {infos[place].type for place in fitting(infos, key)} == {"embedding"}:
        return "embedding"
    is_embedding = key in [model.identifier for model in client.embedding.list_loaded()]
    return "embedding" if is_embedding else "llm"


def _get(
    client: lms.Client,
    kind: Literal["llm", "embedding"],
    key: str | None,
    screen: Screen,
    **limits: Any,
) -> Any:
    namespace: Any = getattr(client, kind)

    def show(share: float) -> None:
        screen.progress(share, "Loading the model")

    try:
        if key is None:
            return namespace.model(**limits)
        return namespace.model(key, on_load_progress=show, **limits)
    except lms.LMStudioModelNotFoundError as error:
        screen.end()
        raise no_such_model(client, kind, key, error) from None
    finally:
        screen.end()


def no_such_model(
    client: lms.Client,
    kind: Literal["llm", "embedding", None],
    key: str | None,
    error: lms.LMStudioModelNotFoundError,
    option: str = "--model ",
) -> CommandError:
    """Return what to say where no model fits: which there are, and what to type.

    Args:
        client: Is asked which there are.
        kind: Which models would do; None: all.
        key: What was asked for; None: any that is loaded.
        error: What the server said.
        option: What stands before the key where it is typed.
    """
    name = program_name()
    try:
        models = client.list_downloaded_models(kind, timeout=_LIMIT)
    except lms.LMStudioError:
        return CommandError(str(error).partition("\n")[0], f"Which there are: {name} ls")
    keys = [model.model_key for model in models]
    noun = "model" if kind is None else _WHAT[kind]
    # (The keys are a server's words: CommandError cleans them.)
    known = f"Downloaded: {list_some(keys, key or '')}" if keys else ""
    if key is None:
        what = f"No {noun} is loaded{'.' if keys else ', and none is downloaded.'}"
        hints = [f"Name one, and it is loaded: {option}{keys[0]}"] if keys else []
    else:
        what, guess = f"There is no {noun} {key!r}.", nearest(key, keys)
        hints = [] if guess is None else [f"Did you mean: {option}{guess}"]
    if not keys:
        hints.append(f"Get one: {name} download {key or 'NAME'}")
    return CommandError(what, *hints, known)
