"""``lmstudio load``: load a model, with a bar; Ctrl-C stops it."""

from __future__ import annotations

import argparse
from typing import Any

import lmstudio as lms

from ._bar import Bar
from ._errors import CommandError
from ._fits import fitting, with_infos
from ._model import find_kind, no_such_model
from ._name import program_name
from ._screen import one_line
from ._show import as_duration, print_json

__all__ = ["run"]

_RATIOS: dict[object, float] = {"max": 1.0, "off": 0.0}


def run(options: argparse.Namespace) -> int:
    """Load the model unless it is loaded, and say under which name; return 0.

    Raises:
        CommandError: It is loaded already, otherwise than it was asked for.
        LMStudioError: It cannot be loaded.
        KeyboardInterrupt: Ctrl-C came, and the server was told to stop.
    """
    with lms.Client(options.host) as client:
        kind = find_kind(client, options.model)
        namespace: Any = getattr(client, kind)
        model = _find(namespace, options)
        is_new = model is None
        if is_new:
            model = _load(client, namespace, options)
        info: Any = model.get_info()
        if not is_new:
            _check(model, info, options)
        if options.json:
            print_json(info.to_dict())
        else:
            ttl = info.ttl_ms
            end = "" if ttl is None else f", unloads after {as_duration(ttl / 1000)} unused"
            what = f"{info.identifier} (context {info.context_length}{end})"
            print(one_line(f"{'Loaded' if is_new else 'Loaded already'}: {what}"))
    return 0


def _find(namespace: Any, options: argparse.Namespace) -> Any:
    """Return a handle of the model if it is loaded, and not wanted once more; otherwise None."""
    if options.identifier is not None:
        return None
    found = list(with_infos(namespace.list_loaded()))
    fits = fitting([info for _, info in found], options.model)
    return found[fits[0]][0] if fits else None


def _load(client: lms.Client, namespace: Any, options: argparse.Namespace) -> Any:
    # Not by `model()`: what is loaded so is unloaded by the server after a while.
    config: dict[str, Any] = {}
    if options.context_length is not None:
        config["contextLength"] = options.context_length
    if options.gpu is not None:
        config["gpu"] = {"ratio": options.gpu}
    bar = Bar()
    try:
        return namespace.load_new_instance(
            options.model,
            options.identifier,
            ttl=options.ttl,
            config=config or None,
            on_load_progress=lambda share: bar.progress(share, f"Loading {options.model}"),
        )
    except lms.LMStudioModelNotFoundError as error:
        bar.end()
        before = f"{program_name()} load "
        raise no_such_model(client, None, options.model, error, before) from None
    finally:
        bar.end()


def _check(model: Any, info: Any, options: argparse.Namespace) -> None:
    """Raise a CommandError if the model that was there is not what was asked for."""
    other = []
    if options.context_length not in (None, info.context_length):
        other.append(f"context {info.context_length}")
    if options.ttl is not None and max(1, round(options.ttl * 1000)) != info.ttl_ms:
        none = info.ttl_ms is None
        other.append("no --ttl" if none else f"--ttl {info.ttl_ms / 1000:g}")
    if options.gpu is not None:
        gpu = model.get_load_config().gpu
        ratio = None if gpu is None else gpu.ratio
        if _RATIOS.get(ratio, ratio) != _RATIOS.get(options.gpu, options.gpu):
            other.append(f"--gpu {'unknown' if ratio is None else ratio}")
    if other:
        name = program_name()
        raise CommandError(
            f"{info.identifier} is loaded already, with {' and '.join(other)}.",
            f"Unload it first: {name} unload {info.identifier}",
            f"Or load it once more: {name} load {options.model} --identifier NAME ...",
        )
