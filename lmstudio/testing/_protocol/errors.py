"""The errors that the server reports on the wire, in LM Studio's words and codes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

_SAMPLE = 5


class EndpointError(Exception):
    """A call that fails: becomes an `rpcError` or a `channelError`.

    Args:
        title: The sentence that the user of the client reads.
        **fields: Further fields of the error (`cause`, `suggestion`, `displayData`, ...).

    Thread safety:
        A value: any thread.
    """

    def __init__(self, title: str, **fields: Any) -> None:
        super().__init__(title)
        self.error = serialize(title, **fields)


def serialize(title: str, **fields: Any) -> dict[str, Any]:
    """Return the error object of an `rpcError` or `channelError` message."""
    return {"title": title, "stack": f"Error: {title}", "rootTitle": title, **fields}


def no_model_matching_query(query: dict[str, Any], loaded: Sequence[str]) -> EndpointError:
    """Return the error of a query that no loaded model satisfies."""
    return EndpointError(
        "No loaded model satisfies all requirements specified in the query.",
        displayData={
            "code": "generic.noModelMatchingQuery",
            "query": query,
            "loadedModelsSample": list(loaded[:_SAMPLE]),
            "totalLoadedModels": len(loaded),
        },
    )


def specific_model_unloaded() -> EndpointError:
    """Return the error of an instance reference whose model is gone."""
    return EndpointError("Model unloaded", displayData={"code": "generic.specificModelUnloaded"})


def identifier_not_found(identifier: str, loaded: Sequence[str]) -> EndpointError:
    """Return the error of an unload for an identifier that nobody (on the device) has."""
    return EndpointError(
        f'Cannot find a model with identifier "{identifier}"',
        suggestion=(
            "A model is unloaded by its identifier, exactly as it is. "
            f"The identifiers: {', '.join(loaded[:_SAMPLE]) or '(no model is loaded)'}"
        ),
        displayData={
            # LM Studio has a code identifierNotFound, and its own clients know it for none.
            "code": "generic.noModelMatchingQuery",
            "query": {"identifier": identifier},
            "loadedModelsSample": list(loaded[:_SAMPLE]),
            "totalLoadedModels": len(loaded),
        },
    )


def identifier_taken(identifier: str) -> EndpointError:
    """Return the error of a load under an identifier that is in use."""
    # LM Studio's own tests know the title with these words, which clients write before it too.
    return EndpointError(
        f'Model load error: the identifier "{identifier}" already exists.',
        suggestion="Choose another identifier, or none; or unload that model first.",
    )


def path_not_found(path: str, available: Sequence[str]) -> EndpointError:
    """Return the error of a model key that is not downloaded."""
    alike = difflib.get_close_matches(path.lower(), available, 1)
    hint = f'Did you mean "{alike[0]}"?' if alike else "Download it, or name one that there is."
    return EndpointError(
        f"Model not found: {path}",
        cause="No downloaded model has this key.",
        suggestion=hint,
        displayData={
            "code": "generic.pathNotFound",
            "path": path,
            "availablePathsSample": list(available[:_SAMPLE]),
            "totalModels": len(available),
        },
    )


def not_on_device(
    path: str, device: str | None, devices: Sequence[str | None], available: Sequence[str]
) -> EndpointError:
    """Return the error of a model that other devices have; None is the server itself."""
    here = "The server itself" if device is None else f'The device "{device}"'
    others = " and ".join(sorted({f'"{one}"' if one else "the server itself" for one in devices}))
    return EndpointError(
        f"Model not found: {path}",
        cause=f"{here} has no model with this key; {others} has one.",
        suggestion="Ask without a device, and LM Studio looks at all of them.",
        displayData={
            "code": "generic.pathNotFound",
            "path": path,
            "availablePathsSample": list(available[:_SAMPLE]),
            "totalModels": len(available),
        },
    )


_KINDS = {"llm": "an LLM", "embedding": "an embedding model"}
_PLACES = {"llm": "client.llm", "embedding": "client.embedding"}


def domain_mismatch(path: str, actual: str, expected: str) -> EndpointError:
    """Return the error of a model that belongs to another namespace."""
    return EndpointError(
        f'"{path}" is {_KINDS[actual]}, but {_KINDS[expected]} was asked for.',
        suggestion=f"Ask for it in the namespace {actual} ({_PLACES[actual]}), or name another.",
        displayData={
            "code": "generic.domainMismatch",
            "path": path,
            "actualDomain": actual,
            "expectedDomain": expected,
        },
    )


def draft_not_found(name: str, llms: Sequence[str], more: dict[str, Any]) -> EndpointError:
    """Return the error of a draft model that is not downloaded; `more` are fields of it."""
    # LM Studio's own tests know this title; where there is a code, its clients say it otherwise.
    names = ", ".join(llms[:_SAMPLE]) or "(there is none)"
    return EndpointError(
        f'Cannot find model "{name}"',
        cause="It was given as the draft model, and no downloaded model has this name.",
        suggestion=f"Name a downloaded LLM, such as: {names}",
        **more,
    )


def draft_is_no_llm(name: str, actual: str) -> EndpointError:
    """Return the error of a draft model that writes nothing."""
    return EndpointError(
        f'"{name}" cannot be the draft model: it is {_KINDS[actual]}.',
        suggestion="Name a downloaded LLM: a small one of the same family.",
    )


def no_vision(key: str, seeing: Sequence[str]) -> EndpointError:
    """Return the error of an image for a model that cannot see; `seeing` are those that can."""
    others = ", ".join(seeing[:_SAMPLE]) or "none"
    return EndpointError(
        "Model does not support images. Please use a model that does.",
        cause=f'The model "{key}" has no vision.',
        suggestion=(
            f"The models of this server that have it: {others}. A test gives it others by "
            "Server(models=[Model(key=..., vision=True)])."
        ),
    )


def preset_not_found(preset: str, presets: Sequence[str]) -> EndpointError:
    """Return the error of a preset that the server does not know."""
    return EndpointError(
        f'Cannot find a preset that matches "{preset}"',
        suggestion="A test gives the server presets by Server(presets=[...]).",
        displayData={
            "code": "generic.presetNotFound",
            "specifiedFuzzyPresetIdentifier": preset,
            "availablePresetsSample": [
                {"identifier": name, "name": name} for name in presets[:_SAMPLE]
            ],
            "totalAvailablePresets": len(presets),
        },
    )
