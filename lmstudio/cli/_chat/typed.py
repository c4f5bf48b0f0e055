"""What a person typed: when a text goes on in the next line, and what is meant by it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MORE", "PROMPT", "Typed", "goes_on", "unfolded"]

PROMPT = "> "
MORE = ". "  # before the further lines of a text
QUOTES = '"""'


@dataclass(frozen=True)
class Typed:
    """A text; one that was pasted is taken as it is, byte for byte."""

    text: str
    is_pasted: bool = False

    @property
    def is_command(self) -> bool:
        """Whether it begins with a slash, and is no code that was pasted."""
        return self.text.startswith("/") and not (self.is_pasted and "\n" in self.text)


def goes_on(text: str) -> bool:
    """Return whether Enter at the end of what was typed begins a new line of it."""
    if is_quoted(text):
        return len(text.strip()) < 2 * len(QUOTES) or not text.rstrip().endswith(QUOTES)
    return text.endswith("\\")


def is_quoted(text: str) -> bool:
    """Return whether it began with three quotation marks."""
    return text.lstrip().startswith(QUOTES)


def unfolded(text: str) -> str:
    """Return what was typed without the marks that made it several lines."""
    if is_quoted(text) and not goes_on(text):
        return text.strip()[len(QUOTES) : -len(QUOTES)].strip("\n")
    return text.replace("\\\n", "\n")
