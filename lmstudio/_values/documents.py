"""What LM Studio makes of documents: their text, and the pieces that answer a question."""

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct
from .messages import FileHandle


@attrs.frozen(kw_only=True, repr=False)
class DocumentParser(LMStudioStruct):
    """The library with which LM Studio reads a document.

    Attributes:
        library: its name.
        version: its version.

    Thread safety: immutable.
    """

    library: str
    version: str


@attrs.frozen(kw_only=True, repr=False)
class ParsedDocument(LMStudioStruct):
    """The text of a document.

    Attributes:
        content: the text.
        parser: what has read it.

    Thread safety: immutable.
    """

    content: str
    parser: DocumentParser


@attrs.frozen(kw_only=True, repr=False)
class RetrievalEntry(LMStudioStruct):
    """A piece of a file that fits a query.

    Attributes:
        content: its text.
        score: how well it fits; more is better.
        source: the file that it is from.
        page_number: the page that it is on, or the first and the last; None if there are none.
        line_number: the line, likewise.

    Thread safety: immutable.
    """

    content: str
    score: float
    source: FileHandle
    page_number: int | tuple[int, int] | None = None
    line_number: int | tuple[int, int] | None = None


@attrs.frozen(kw_only=True, repr=False)
class RetrievalResult(LMStudioStruct):
    """The pieces of files that fit a query best.

    Attributes:
        entries: the pieces, in the server's order.

    Thread safety: immutable.
    """

    entries: list[RetrievalEntry]


@attrs.frozen(kw_only=True, repr=False)
class RetrievalProgress(LMStudioStruct):
    """How far a retrieval has come with one step.

    Attributes:
        step: ``loading``, ``chunking``, ``embedding``, all three of one file; or ``searching``.
        progress: the share of the step that is done, from 0 to 1.
        file: the file; None for ``searching``.

    Thread safety: immutable.
    """

    step: str
    progress: float
    file: FileHandle | None = None


public_module(globals())
