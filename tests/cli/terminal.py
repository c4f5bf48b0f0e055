"""A program in a real pseudo-terminal, and what its screen shows."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte

LIMIT = 15.0  # seconds
SIZE = (24, 80)  # rows, columns
FAINT, STRUCK = 2, 9  # of the codes that style characters
COLOUR = (38, 48)  # what follows these codes is a colour


class Screen(pyte.HistoryScreen):
    """A screen that knows faint characters, which pyte does not: they appear struck through."""

    def select_graphic_rendition(self, *codes, **options):
        if not set(codes) & set(COLOUR):
            codes = [STRUCK if code == FAINT else code for code in codes]
        super().select_graphic_rendition(*codes, **options)


class Terminal:
    """Runs ``python ARGUMENTS`` in a terminal of its own."""

    def __init__(self, *arguments, stdout=None, size=SIZE, **environment):
        self.screen = Screen(size[1], size[0], history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = ""  # all that came, with its escape sequences
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

        self.modes_before = self.modes()

        def take_terminal():
            os.setsid()
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            preexec_fn=take_terminal,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment},
        )
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT)
        if self._master is not None:
            os.close(self._master)

    def type(self, text):
        os.write(self._master, text.encode())

    def ctrl_c(self):
        """Press Ctrl-C: the terminal sends the signal."""
        self.type("\x03")

    def ctrl_d(self):
        """Press Ctrl-D: the end of the input."""
        self.type("\x04")

    def modes(self):
        """How the terminal treats what is typed: echo, line by line, and so on."""
        return termios.tcgetattr(self._master)[:4]

    def hang_up(self):
        """Close the terminal, as a window is closed."""
        os.close(self._master)
        self._master = None

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def scrolled(self):
        """The lines that have left the screen at its top."""
        lines = self.screen.history.top
        return [
            "".join(line[at].data for at in range(self.screen.columns)).rstrip() for line in lines
        ]

    def wait_for(self, *words):
        """Read until all of these are on the screen."""
        self.wait(lambda: all(word in self.text() for word in words))

    def wait_prompt(self):
        """Read until the last line is an empty prompt."""
        self.wait(lambda: self.text().endswith("\n>"))

    def wait(self, condition, limit=LIMIT):
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, f"never there; the screen is:\n{self.text()}"
            self._read(0.1)

    def ctrl_c_until(self, condition):
        """Press Ctrl-C until a condition holds, with a pause after each.

        Python overlooks a signal that comes just before it waits: so it is repeated.
        """
        for _ in range(4):
            self.ctrl_c()
            with contextlib.suppress(AssertionError):
                return self.wait(condition, LIMIT / 4)
        return self.wait(condition)

    def has_ended(self):
        return self.process.poll() is not None

    def wait_end(self):
        """Read until the program has ended; its exit code."""
        if self._master is None:
            return self.process.wait(LIMIT)
        self.wait(self.has_ended)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds):
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self._stream.feed(data)
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def style_of(self, word):
        """The character, with its attributes, at which a word begins on the screen."""
        for row, line in enumerate(self.screen.display):
            if word in line:
                return self.screen.buffer[row][line.index(word)]
        raise AssertionError(f"{word!r} is not on the screen:\n{self.text()}")

    def is_dimmed(self, word):
        """Whether a word on the screen begins with a faint character."""
        return self.style_of(word).strikethrough
