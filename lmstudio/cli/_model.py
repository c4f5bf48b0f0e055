"""The model that a program talks with, by its key."""

from __future__ import annotations

import lmstudio as lms

from ._screen import Screen

__all__ = ["get_model"]


def get_model(client: lms.Client, key: str | None, screen: Screen) -> lms.LLM:
    """Return the model of that key, loading it if need be; None: any that is loaded."""
    if key is None:
        return client.llm.model()

    def show(share: float) -> None:
        screen.progress(share, "Loading the model")

    try:
        return client.llm.model(key, on_load_progress=show)
    finally:
        screen.end()
