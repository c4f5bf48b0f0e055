"""Makes stop.gif: the chat window of examples/qt_chat.py while its reply is stopped.

    python docs/images/stop_animation.py [FILE]

The window and its buttons are those of the example; the reply comes from the embedded server, so
that LM Studio is not needed. It needs PySide6 and Pillow, and no screen.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPolygonF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

import lmstudio as lms
from lmstudio.testing import Server

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "qt_chat.py"
QUESTION = "Tell me a long story."
STORY = (
    "Once upon a time there was a lighthouse on a rock, far out at sea. Every evening the keeper"
    " climbed its two hundred steps, lit the lamp"
)
LIMIT = 20.0  # seconds
COLOURS = 64


class Recorder:
    """Takes pictures of a window, with a mouse pointer, and writes them as one animation."""

    def __init__(self, application: QApplication, window: Any) -> None:
        self.application, self.window = application, window
        self.pointer = QPoint(330, 150)
        self.frames: list[Image.Image] = []
        self.times: list[int] = []  # milliseconds

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            self.application.processEvents()

    def take(self, milliseconds: int) -> None:
        image = self.window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(self.pointer)
        painter.setBrush(QColor("black"))
        painter.setPen(QColor("white"))
        corners = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (13, 12))
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        painter.end()
        size, pixels = (image.width(), image.height()), bytes(image.constBits())
        self.frames.append(Image.frombytes("RGB", size, pixels, "raw", "RGB", image.bytesPerLine()))
        self.times.append(milliseconds)

    def move_pointer(self, target: QPoint, steps: int) -> None:
        start = self.pointer
        for step in range(1, steps + 1):
            self.pointer = start + (target - start) * (step / steps)
            self.take(60)

    def write(self, path: Path) -> None:
        # Colours of the middle and of the end: only one of them has a red button.
        width, height = self.frames[0].size
        both = Image.new("RGB", (width, 2 * height))
        both.paste(self.frames[len(self.frames) // 2], (0, 0))
        both.paste(self.frames[-1], (0, height))
        palette = both.quantize(COLOURS)
        plain = Image.Dither.NONE
        frames = [frame.quantize(palette=palette, dither=plain) for frame in self.frames]
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=self.times,
            loop=0,
            optimize=True,
        )


def record(recorder: Recorder, server: Server) -> None:
    window = recorder.window
    server.hold("predict")
    QTest.keyClicks(window.entry, QUESTION)
    recorder.take(900)
    QTest.keyClick(window.entry, Qt.Key.Key_Return)
    recorder.wait(lambda: window.reply is not None)
    call = server.expect("predict")
    for share in (0.25, 0.5, 0.75):
        call.progress(share)
        recorder.wait(lambda share=share: window.progress.value() == round(100 * share))
        recorder.take(250)
    call.progress(1.0)
    words = STORY.split(" ")
    for number, word in enumerate(words):
        text = word if number == 0 else f" {word}"
        call.fragment(text)
        recorder.wait(lambda text=text: window.view.toPlainText().endswith(text))
        if number % 2:
            recorder.take(130)
    button = window.stop_button
    recorder.move_pointer(button.mapTo(window, button.rect().center()), 5)
    QTest.mousePress(button, Qt.MouseButton.LeftButton)
    recorder.take(300)
    QTest.mouseRelease(button, Qt.MouseButton.LeftButton)
    call.expect_cancel()
    call.success("userStopped")
    recorder.wait(lambda: window.running is None)
    recorder.take(2500)


def main() -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    spec = importlib.util.spec_from_file_location("qt_chat", EXAMPLE)
    qt_chat = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(qt_chat)
    application = QApplication([])
    with Server() as server, lms.Client(server.api_host) as client:
        window = qt_chat.ChatWindow(client)
        window.resize(600, 300)
        window.show()
        recorder = Recorder(application, window)
        record(recorder, server)
        recorder.write(Path(*sys.argv[1:]) if sys.argv[1:] else HERE / "stop.gif")
        window.close()


if __name__ == "__main__":
    main()
