"""The keyboard while a reply runs: nothing is echoed into it, and what is typed comes later."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

try:
    import termios
except ImportError:  # Windows does not echo what nobody reads
    termios = None  # type: ignore[assignment]

__all__ = ["is_dumb", "quiet_keyboard"]

_PASTES_ON, _PASTES_OFF = "\x1b[?2004h", "\x1b[?2004l"


def is_dumb() -> bool:
    """Return whether the terminal says that it knows no escape sequences."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


@contextlib.contextmanager
def quiet_keyboard(reads_keys: bool) -> Iterator[None]:
    """Have the terminal keep what is typed, unseen, for the next prompt. Ctrl-C acts as ever.

    Args:
        reads_keys: The prompt has a line editor. What is pasted meanwhile then stays one text: the
            terminal goes on to mark pastes.
    """
    keyboard = _keyboard()
    if termios is None or keyboard is None:
        yield
        return
    screen = next((one for one in (sys.stdout, sys.stderr) if one.isatty()), None)
    if not reads_keys or is_dumb():
        screen = None
    usual = termios.tcgetattr(keyboard)
    quiet = [*usual]
    quiet[3] &= ~termios.ECHO
    quiet[3] |= termios.NOFLSH  # Ctrl-C throws away nothing that is on its way to the screen
    if reads_keys:  # Enter stays what it is
        quiet[0] &= ~(termios.ICRNL | termios.INLCR)
        quiet[3] &= ~termios.ICANON
    quiet[6] = [*usual[6]]
    quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
        if screen is not None:
            print(end=_PASTES_ON, file=screen, flush=True)
        yield
    finally:
        # The terminal may be gone; what made it so is told by somebody else.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(keyboard, termios.TCSANOW, usual)
            if screen is not None:
                print(end=_PASTES_OFF, file=screen, flush=True)


def _keyboard() -> int | None:
    """Return the terminal that this program has for itself, also if its input is a file."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # In the background it is not ours, and to change it would stop us.
            if stream.isatty() and os.tcgetpgrp(stream.fileno()) == os.getpgrp():
                return stream.fileno()
    return None
