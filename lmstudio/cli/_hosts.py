"""The LM Studios that a batch is answered by: who is there, who goes, who comes back."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Iterator

import lmstudio as lms

from ._errors import CommandError, complain, in_words
from ._model import get_model
from ._name import program_name
from ._screen import make_screen

__all__ = ["Models", "check_vision", "connect", "hosts_of", "watch"]

# Each with its host, as the user has written it, and its client.
Models = list[tuple[str | None, lms.Client, lms.LLM]]


def hosts_of(options: argparse.Namespace) -> list[str | None]:
    """Return the hosts that the user has named, each once; None is the one of this machine."""
    hosts = options.host if isinstance(options.host, list) else [options.host]
    return list(dict.fromkeys(hosts))


def connect(
    options: argparse.Namespace, stack: contextlib.ExitStack, token: lms.CancelToken
) -> Models:
    """Return the models of all hosts that are there; of the others, say that they are not.

    Raises:
        LMStudioCancelledError: The token was set meanwhile.
        LMStudioError: None is.
    """
    models: Models = []
    errors = []
    for host in hosts_of(options):
        client = stack.enter_context(contextlib.closing(lms.Client(host)))
        try:
            screen = make_screen(sys.stderr)
            model = get_model(client, options.model, screen, cancel_event=token)
        except lms.LMStudioCancelledError:
            raise
        except lms.LMStudioError as error:
            errors.append((host, error))
        else:
            models.append((host, client, model))
    if not models:
        raise errors[0][1]
    for name, problem in errors:
        complain(f"{name} is left out: {in_words(problem).what}")
    return models


def check_vision(model: lms.LLM, token: lms.CancelToken) -> None:
    """Refuse pictures for a model that takes none.

    Raises:
        CommandError: It takes none.
        LMStudioCancelledError: The token was set meanwhile.
        LMStudioError: It is not there any more.
    """
    info = model.get_info(cancel_event=token)
    if isinstance(info, lms.LlmInstanceInfo) and not info.vision:
        raise CommandError(
            f"{info.identifier} takes no pictures.",
            f"Which models do (TAKES: images): {program_name()} ls",
            "Name one: --model KEY",
        )


@contextlib.contextmanager
def watch(models: Models, patience: float | None) -> Iterator[None]:
    """Meanwhile, say which hosts go and come back: a batch waits for them in silence."""
    gone = "gone: the batch waits for it" if len(models) == 1 else "gone: the others go on"
    if len(models) == 1 and patience == 0:
        gone = "gone"
    with contextlib.ExitStack() as stack:
        for host, client, _ in models:
            tell = functools.partial(_tell, host or "LM Studio", gone, [True])
            stack.enter_context(client.on_connection_change(tell))
        yield


def _tell(host: str, gone: str, was_there: list[bool], is_there: bool) -> None:
    if was_there != [is_there]:
        was_there[:] = [is_there]
        with contextlib.suppress(OSError, ValueError):  # of a stderr that nobody reads any more
            complain(f"{host} is {'back' if is_there else gone}.")
