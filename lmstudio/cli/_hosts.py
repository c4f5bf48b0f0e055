"""The LM Studios that a batch is answered by: who is there, who goes, who comes back."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import lmstudio as lms

from ._errors import CommandError, complain, in_words
from ._model import get_model
from ._name import program_name
from ._screen import Screen, make_screen

__all__ = ["Absent", "Models", "check_vision", "connect", "hosts_of", "joining", "watch"]

# Each with its host, as the user has written it, and its client.
Models = list[tuple[str | None, lms.Client, lms.LLM]]
Absent = list[tuple[str | None, lms.Client]]  # those that are not there yet

# Seconds before a host that is not there is asked again; each time twice as long.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_OTHERS_GO_ON = "gone: the others go on"
_END = 5.0  # seconds for a thread to end


def hosts_of(options: argparse.Namespace) -> list[str | None]:
    """Return the hosts that the user has named, each once; None is the one of this machine."""
    hosts = options.host if isinstance(options.host, list) else [options.host]
    return list(dict.fromkeys(hosts))


def connect(
    options: argparse.Namespace, stack: contextlib.ExitStack, token: lms.CancelToken
) -> tuple[Models, Absent]:
    """Return the models of all hosts that are there, and the hosts that may still come.

    While none is there, it waits for as long as `--patience` says. One that refuses for good is
    left out.

    Raises:
        LMStudioCancelledError: The token was set meanwhile.
        LMStudioError: None is there, or all refuse.
    """
    clients = [
        (host, stack.enter_context(contextlib.closing(lms.Client(host))))
        for host in hosts_of(options)
    ]
    models, absent, errors = _ask_all(clients, options, token, is_first=True)
    patience: float | None = options.patience
    if patience == 0:
        if not models:
            raise (absent or errors)[0][1]
        _leave_out([*errors, *absent])
        return models, []
    if not (models or absent):
        raise errors[0][1]
    _leave_out(errors)
    for _, error in absent:
        rest = "" if patience is None else f", for up to {patience:g} s (--patience)"
        hint = f"The batch waits for it{rest}."
        if models:
            hint = "The batch begins without it; it joins when it is there."
        complain(CommandError(in_words(error).what, hint))
    begun, pause = monotonic(), _FIRST_PAUSE
    while not models:
        if token.wait(pause):
            token.raise_if_cancelled()
        pause = min(2 * pause, _LONGEST_PAUSE)
        waited_for = {host for host, _ in absent}
        clients = [(host, client) for host, client in clients if host in waited_for]
        models, absent, errors = _ask_all(clients, options, token, is_first=False)
        if not models and (not absent or _is_over(begun, patience)):
            raise (absent or errors)[0][1]
        _leave_out(errors)
    waited_for = {host for host, _ in absent}
    return models, [(host, client) for host, client in clients if host in waited_for]


_Errors = list[tuple[str | None, lms.LMStudioError]]


def _ask_all(
    clients: Absent, options: argparse.Namespace, token: lms.CancelToken, *, is_first: bool
) -> tuple[Models, _Errors, _Errors]:
    """Return the models that are there, why others are not there, and why others refuse.

    Raises:
        LMStudioCancelledError: The token was set meanwhile.
    """
    models: Models = []
    absent: _Errors = []
    errors: _Errors = []
    for host, client in clients:
        try:
            screen = make_screen(sys.stderr)
            model = get_model(client, options.model, screen, cancel_event=token)
        except lms.LMStudioCancelledError:
            raise
        except lms.LMStudioError as error:
            kind = absent if _may_come(error, options.model, is_first=is_first) else errors
            kind.append((host, error))
        else:
            models.append((host, client, model))
    return models, absent, errors


def _may_come(error: lms.LMStudioError, key: str | None, *, is_first: bool) -> bool:
    """Whether it is worth asking that host again."""
    if isinstance(error, (lms.LMStudioWebsocketError, lms.LMStudioTimeoutError)):
        return True
    # One that has come up meanwhile may still be loading its model.
    has_no_model = isinstance(error.__context__, lms.LMStudioModelNotFoundError)
    return has_no_model and key is None and not is_first


def _is_over(begun: float, patience: float | None) -> bool:
    return patience is not None and monotonic() - begun >= patience


def _leave_out(errors: _Errors) -> None:
    for host, error in errors:
        complain(f"{host or 'LM Studio'} is left out: {in_words(error).what}")


@contextlib.contextmanager
def joining(batch: lms.Batch[Any], absent: Absent, key: str | None) -> Iterator[None]:
    """Meanwhile, let hosts that were not there at the start join the batch when they come."""
    ended = lms.CancelToken()
    with contextlib.ExitStack() as stack:  # closed when the threads have ended

        def join(host: str | None, client: lms.Client) -> None:
            pause = _FIRST_PAUSE
            while not ended.wait(pause):
                pause = min(2 * pause, _LONGEST_PAUSE)
                try:
                    model = get_model(client, key, Screen(sys.stderr), cancel_event=ended)
                    batch._add_model(model)
                    tell = functools.partial(_tell, host or "LM Studio", _OTHERS_GO_ON, [True])
                    stack.enter_context(client.on_connection_change(tell))
                    _complain_if_heard(f"{host or 'LM Studio'} is there now, and joins the batch.")
                    return
                except lms.LMStudioCancelledError:
                    return
                except lms.LMStudioError as error:
                    if not _may_come(error, key, is_first=False):
                        _complain_if_heard(
                            f"{host or 'LM Studio'} is left out: {in_words(error).what}"
                        )
                        return

        threads = [
            threading.Thread(target=join, args=one, daemon=True, name="lmstudio-batch-host")
            for one in absent
        ]
        try:
            for thread in threads:
                thread.start()
            yield
        finally:
            ended.cancel()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_END)


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
    gone = "gone: the batch waits for it" if len(models) == 1 else _OTHERS_GO_ON
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
        _complain_if_heard(f"{host} is {'back' if is_there else gone}.")


def _complain_if_heard(words: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # of a stderr that nobody reads any more
        complain(words)
