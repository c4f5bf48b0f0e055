"""Joins the two halves of a character that come in two texts, as programs in JavaScript cut them.

There a text is UTF-16, and a character such as an emoji two units of it, each of which JSON can
write alone (as U+D83D and U+DE00). Python keeps such a half as a character that cannot be encoded.
"""

from __future__ import annotations


class Halves:
    """Holds back the first half of a character, until the text with the other half comes.

    Thread safety: one thread at a time.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        """Hold nothing back."""
        self.held = ""

    def join(self, text: str) -> str:
        """Return a text whole: begun by the half that was held back, without one at its end.

        A half without another one is replaced by U+FFFD.
        """
        if not self.held:
            try:
                text.encode()
            except UnicodeEncodeError:
                pass  # there is a half in it
            else:
                return text
        text = self.held + text
        self.held = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            self.held, text = text[-1], text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
