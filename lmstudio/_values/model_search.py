"""What LM Studio tells about models in the repository: what was found, and downloads of it."""

from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct


@attrs.frozen(kw_only=True, repr=False)
class ModelSearchResultIdentifierCatalog(LMStudioStruct):
    """Names a model of LM Studio's own catalog.

    Thread safety: immutable.
    """

    type: ClassVar[Literal["catalog"]] = "catalog"
    identifier: str
    """Its name there, as ``owner/name``."""


@attrs.frozen(kw_only=True, repr=False)
class ModelSearchResultIdentifierHf(LMStudioStruct):
    """Names a model of Hugging Face.

    Thread safety: immutable.
    """

    type: ClassVar[Literal["hf"]] = "hf"
    identifier: str
    """Its name there, as ``owner/name``."""


@attrs.frozen(kw_only=True, repr=False)
class UnknownModelSearchResultIdentifier(LMStudioStruct):
    """Names a model of a place that this package does not know; ``type`` says which.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    type: str = ""
    """The kind that the server names."""
    identifier: str = ""
    """Its name there."""


ModelSearchResultIdentifier: TypeAlias = (
    ModelSearchResultIdentifierCatalog
    | ModelSearchResultIdentifierHf
    | UnknownModelSearchResultIdentifier
)
"""Names a model that was found in the repository."""


@attrs.frozen(kw_only=True, repr=False)
class ModelSearchResultEntryData(LMStudioStruct):
    """A model that was found in the repository.

    Attributes:
        name: its name, for people.
        identifier: what names it in a request.
        exact: its name is exactly what was searched; None if the server does not say.
        staff_pick: LM Studio recommends it; None if the server does not say.
        extra: what the server said beyond this, by its JSON keys.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    name: str
    identifier: ModelSearchResultIdentifier
    exact: bool | None = None
    staff_pick: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True, repr=False)
class ModelSearchResultDownloadOptionData(LMStudioStruct):
    """One of the forms in which a model can be downloaded.

    Attributes:
        name: its name, for people.
        size_bytes: size of the download in bytes; 0 if the server does not say.
        fit_estimation: ``fullGPUOffload``, ``partialGPUOffload``, ``fitWithoutGPU``,
            ``willNotFit``, or what a newer server may name.
        download_identifier: what names it in a request.
        indexed_model_identifier: the path that the model will have on the server.
        quantization: such as ``Q4_K_M``.
        recommended: LM Studio recommends it; None if the server does not say.
        compatibility_type: its format, as ``gguf``; older servers do not say.
        extra: what the server said beyond this, by its JSON keys.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    name: str
    size_bytes: int = 0
    fit_estimation: str = ""
    download_identifier: str
    indexed_model_identifier: str = ""
    quantization: str | None = None
    recommended: bool | None = None
    compatibility_type: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True, repr=False)
class DownloadProgressUpdate(LMStudioStruct):
    """How far a download has come.

    Attributes:
        downloaded_bytes: what is there, in bytes.
        total_bytes: the size of the whole download, in bytes.
        speed_bytes_per_second: the speed at this moment; 0.0 while the server cannot say.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    downloaded_bytes: int
    total_bytes: int
    speed_bytes_per_second: float = 0.0


public_module(globals())
