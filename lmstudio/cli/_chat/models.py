"""The model of a conversation: which there are, and changing to another one."""

from __future__ import annotations

import lmstudio as lms

from .._ctrl_c import on_ctrl_c
from .._errors import CommandError
from .._model import no_such_model
from .._screen import Screen

__all__ = ["change_model", "gone", "show_models"]


def change_model(client: lms.Client, key: str, screen: Screen) -> lms.LLM:
    """Return the model of that key, loading it if need be; Ctrl-C stops that.

    Raises:
        CommandError: There is none; it says which there are.
        LMStudioCancelledError: Ctrl-C.
        LMStudioError: It cannot be loaded.
    """
    token = lms.CancelToken()

    def show(share: float) -> None:
        screen.progress(share, f"Loading {key}")

    try:
        with on_ctrl_c(lambda: token.cancel("Ctrl-C")):
            return client.llm.model(key, on_load_progress=show, cancel_event=token)
    except lms.LMStudioModelNotFoundError as error:
        screen.end()
        raise no_such_model(client, "llm", key, error, option="/model ") from None
    finally:
        screen.end()


def show_models(client: lms.Client, screen: Screen, current: str) -> None:
    """List the language models that can be talked with.

    Raises:
        LMStudioError: The server does not say.
    """
    loaded = [model.identifier for model in client.llm.list_loaded()]
    downloaded = [model.model_key for model in client.llm.list_downloaded()]
    for name in loaded:
        is_this = name == current
        state = "loaded, this one" if is_this else "loaded"
        screen.row(f"  {name}  ({state})", is_marked=is_this)
    for name in downloaded:
        if name not in loaded:
            screen.row(f"  {name}")
    screen.note("/model KEY changes to it." if loaded or downloaded else "There are no models.")


def gone(name: str) -> CommandError:
    """Return what to say of a model that was unloaded meanwhile."""
    return CommandError(f"{name} is not loaded any more.", f"Load it again: /model {name}")
