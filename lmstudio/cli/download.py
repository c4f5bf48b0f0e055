"""``lmstudio download``: find a model, and download it with a bar; Ctrl-C stops it."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import Any

import lmstudio as lms

from ._bar import Bar
from ._errors import CommandError, list_some
from ._name import program_name
from ._screen import one_line
from ._show import as_duration, as_size, print_json, print_table

__all__ = ["run"]

_FITS = {
    "fullGPUOffload": "in the GPU",
    "partialGPUOffload": "partly in the GPU",
    "fitWithoutGPU": "without the GPU",
    "willNotFit": "too large",
}


def run(options: argparse.Namespace) -> int:
    """Download the model, or list what there is; return 0.

    Raises:
        CommandError: No model has such a name, or several, or no such quantization.
        LMStudioError: It cannot be downloaded.
        KeyboardInterrupt: Ctrl-C came, and the server was told to stop.
    """
    term, _, quantization = options.model.partition("@")
    with lms.Client(options.host) as client:
        models = _search(client, term)
        if options.list and not quantization and len(models) > 1:
            _list_models(models, options.json)
            return 0
        model = _choose(term, models)
        forms = model.get_download_options()
        if options.list:
            _list_forms(_name(model), forms, options.json)
            return 0
        form = _choose_form(_name(model), forms, quantization)
        key = _download(form, form.info)
        if options.json:
            print_json({"modelKey": key, **form.info.to_dict()})
        else:
            print(one_line(f"Downloaded: {key}"))
            how = f"{program_name()} chat --model {key}"
            print(one_line(f"Talk with it: {how}"), file=sys.stderr)
    return 0


def _search(client: lms.Client, term: str) -> list[Any]:
    """Return the models that fit, the only one if one has exactly this name."""
    models = list(client.repository.search_models(term))
    wanted = term.lower()
    same = [model for model in models if _name(model).lower() == wanted]
    exact = [model for model in models if model.search_result.exact]
    return same[:1] or (exact if len(exact) == 1 else models)


def _name(model: Any) -> str:
    return str(model.search_result.identifier.identifier)


def _choose(term: str, models: list[Any]) -> Any:
    if not models:
        raise CommandError(f"No model is found for {term!r}.", "Try fewer words, or others.")
    if len(models) > 1:
        name = program_name()
        shown = [f"{name} download {_name(model)}" for model in models[:10]]
        more = f"And {len(models) - 10} more: {name} download {term} --list"
        raise CommandError(
            f"{len(models)} models are found for {term!r}. Which one?",
            *shown,
            more if len(models) > 10 else "",
        )
    return models[0]


def _choose_form(name: str, forms: Any, quantization: str) -> Any:
    if quantization:
        fitting = [form for form in forms if _quantization(form).lower() == quantization.lower()]
        if not fitting:
            names = [_quantization(form) for form in forms]
            raise CommandError(
                f"{name} is not offered as {quantization!r}.", f"Offered: {list_some(names)}"
            )
        return fitting[0]
    if not forms:
        raise CommandError(f"{name} is offered in no form that LM Studio can use.")
    return next((form for form in forms if form.info.recommended), forms[0])


def _quantization(form: Any) -> str:
    """Return what stands behind the @ of a form."""
    return str(form.info.quantization or form.info.download_identifier.partition("@")[2])


def _download(form: Any, info: Any) -> str:
    """Download it, and return its key."""
    words = [info.name, info.quantization, as_size(info.size_bytes)]
    print(one_line(f"Downloading {', '.join(filter(None, words))}"), file=sys.stderr, flush=True)
    if info.fit_estimation == "willNotFit":
        print("It is too large for this machine, says LM Studio.", file=sys.stderr, flush=True)
    bar = Bar()

    def show(update: lms.DownloadProgressUpdate) -> None:
        done, total = update.downloaded_bytes, update.total_bytes
        speed = update.speed_bytes_per_second
        more = f"{as_size(done) or '0 B'} of {as_size(total) or '?'}"
        if speed > 0 and total > done:
            more += f", {as_size(speed)}/s, {as_duration((total - done) / speed)} left"
        bar.progress(done / total if total else 0.0, "", more)

    try:
        # (A large model is checked in silence on a slow disk.)
        check = functools.partial(bar.progress, 1.0, "", "checking")
        key: str = form.download(show, check, idle_timeout=None)
        return key
    finally:
        bar.end()


def _list_models(models: list[Any], is_json: bool) -> None:
    if is_json:
        print_json([model.search_result.to_dict() for model in models])
        return
    rows = [(_name(model), _picked(model.search_result)) for model in models]
    print_table(("NAME", "LM STUDIO'S PICK"), rows)


def _picked(result: Any) -> str | None:
    return "yes" if result.staff_pick else None


def _list_forms(name: str, forms: Any, is_json: bool) -> None:
    if is_json:
        print_json([form.info.to_dict() for form in forms])
        return
    rows = [
        (
            f"{name}@{_quantization(form)}" if _quantization(form) else name,
            form.info.compatibility_type,
            as_size(form.info.size_bytes),
            _FITS.get(form.info.fit_estimation, form.info.fit_estimation),
            "yes" if form.info.recommended else None,
        )
        for form in forms
    ]
    print_table(("NAME", "FORMAT", "SIZE", "FITS", "RECOMMENDED"), rows)
