"""A chat window in Qt (PySide6): the reply as it comes, and a Stop button that works at any time.

Uses the LM Studio at --host, or one that runs on this machine.
"""

import argparse
import signal
import sys

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QColor, QFont, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

import lmstudio as lms

BLUE, GREY, RED, INK, BUBBLE = "#1a56c4", "#6b7280", "#b42318", "#1f2937", "#eef3fc"
STYLE = """
QWidget { font-size: 14px; background: #f7f8fa; color: #1f2937; }
QTextEdit { background: white; border: 1px solid #e2e5ea; border-radius: 8px; padding: 8px; }
QLineEdit { background: white; border: 1px solid #cfd4dc; border-radius: 6px; padding: 7px; }
QPushButton { background: #1a56c4; color: white; border-radius: 6px; padding: 8px 18px; }
QPushButton:disabled { background: #cfd4dc; }
QPushButton#stop:enabled { background: #b42318; }
QProgressBar { border: none; background: #e2e5ea; max-height: 4px; }
QProgressBar::chunk { background: #1a56c4; }
QLabel { color: #6b7280; font-size: 12px; }
"""


class ChatWindow(QWidget):
    """Everything here runs in Qt's thread; the replies come from elsewhere, by `dispatch`."""

    def __init__(self, client: lms.Client) -> None:
        super().__init__()
        self.setWindowTitle("Chat")
        self.resize(720, 520)
        self.setStyleSheet(STYLE)
        self.dispatch = lms.QtDispatcher(self)
        self.chat = lms.Chat()
        self.client = client
        self.running: lms.CancelToken | None = None  # stops what runs: from Send until the end
        self.reply: lms.PredictionStream | None = None
        self.part = ""  # of the reply, that is being written: "thought" or "answer"
        self.build()

    def build(self) -> None:
        self.view = QTextEdit(readOnly=True)
        self.progress = QProgressBar(textVisible=False, maximum=100)
        self.status = QLabel("Ready.", wordWrap=True)
        self.entry = QLineEdit(placeholderText="Ask something")
        self.send_button = QPushButton("Send")
        self.stop_button = QPushButton("Stop", objectName="stop")
        row = QHBoxLayout()
        for widget in (self.entry, self.send_button, self.stop_button):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        for widget in (self.view, self.progress, self.status):
            column.addWidget(widget)
        column.addLayout(row)
        self.entry.returnPressed.connect(self.send)
        self.send_button.clicked.connect(self.send)
        self.stop_button.clicked.connect(self.stop)
        self.stop_button.setShortcut(Qt.Key.Key_Escape)
        self.entry.setFocus()
        self.enable()

    def enable(self) -> None:
        """Let only those buttons be pressed that do something now."""
        self.send_button.setEnabled(self.running is None)
        self.stop_button.setEnabled(self.running is not None)

    def write(self, text: str) -> None:
        self.view.moveCursor(QTextCursor.MoveOperation.End)
        self.view.insertPlainText(text)
        self.view.ensureCursorVisible()

    def write_block(
        self, text: str, colour: str = INK, *, bold: bool = False, shade: str = "", above: int = 0
    ) -> None:
        """Begin a paragraph; what is written next goes on in it."""
        block, style = QTextBlockFormat(), QTextCharFormat()
        block.setTopMargin(above)
        if shade:
            block.setBackground(QColor(shade))  # of the whole line, not of its letters alone
        style.setForeground(QColor(colour))
        style.setFontWeight(QFont.Weight.Bold if bold else QFont.Weight.Normal)
        self.view.moveCursor(QTextCursor.MoveOperation.End)
        cursor = self.view.textCursor()
        if self.view.document().isEmpty():
            cursor.setBlockFormat(block)
        else:
            cursor.insertBlock(block)
        cursor.insertText(text, style)
        self.view.setTextCursor(cursor)
        self.view.setCurrentCharFormat(style)
        self.view.ensureCursorVisible()

    def show_part(self, text: str, part: str) -> None:
        """Write what came of the reply; the answer is a paragraph of its own after the thoughts."""
        if part != self.part:
            text = text.lstrip()
            if not text:
                return
            self.part = part
            self.write_block(text, GREY if part == "thought" else INK)
        else:
            self.write(text)
        speed = self.reply.tokens_per_second if self.reply is not None else None
        doing = "Thinking" if part == "thought" else "Writing"
        self.status.setText(f"{doing}, {speed:.0f} tokens/s" if speed else doing)

    def send(self) -> None:
        question = self.entry.text().strip()
        if not question or self.running is not None:
            return
        self.entry.clear()
        self.chat.add_user_message(question)
        self.write_block("You", BLUE, bold=True, above=12)
        self.write_block(question, shade=BUBBLE)
        self.part = ""
        self.status.setText("Looking for a model ...")
        self.running = lms.CancelToken()
        lms.run_in_background(  # for each question: LM Studio may have been restarted meanwhile
            self.client.llm.model,
            on_done=self.ask,
            on_error=self.failed,
            dispatch=self.dispatch,
            cancel_event=self.running,
        )
        self.enable()

    def ask(self, model: lms.LLM) -> None:
        self.setWindowTitle(f"Chat with {model.identifier}")
        self.write_block(model.identifier, GREY, bold=True, above=8)
        self.status.setText("Reading the prompt ...")
        self.reply = model.respond_stream(self.chat, cancel_event=self.running)
        self.reply.run_in_background(
            on_reasoning=lambda text: self.show_part(text, "thought"),
            on_answer=lambda text: self.show_part(text, "answer"),
            on_progress=self.show_progress,
            on_done=self.done,
            on_error=self.failed,
            dispatch=self.dispatch,
        )

    def stop(self) -> None:
        if self.running is not None:
            self.running.cancel("stopped")  # never blocks; `done` or `failed` comes soon
            self.stop_button.setEnabled(False)
            self.status.setText("Stopping ...")

    def show_progress(self, share: float) -> None:
        self.progress.setValue(round(100 * share) % 100)  # nobody knows how long it writes
        self.status.setText(f"Reading the prompt: {share:.0%}" if share < 1 else "Writing")

    def done(self, result: lms.PredictionResult) -> None:
        self.keep(result)
        if result.cancelled or not self.part:
            self.write_block("(stopped)" if result.cancelled else "(no answer)", GREY)
        speed = result.stats.tokens_per_second
        self.end("Stopped." if result.cancelled else f"{speed:.0f} tokens/s" if speed else "Ready.")

    def failed(self, error: BaseException) -> None:
        self.keep(getattr(error, "partial", None))
        if isinstance(error, lms.LMStudioCancelledError):  # there was no model yet
            self.write_block("(stopped)", GREY)
            self.end("Stopped.")
        else:
            self.write_block(str(error), RED)
            self.end("That did not work.")

    def keep(self, result: lms.PredictionResult | None) -> None:
        if result is not None and result.answer:  # the model is not told again what it thought
            self.chat.add_assistant_response(result, reasoning=False)
        else:
            self.chat.pop()  # the question, so that the next one is not joined to it

    def end(self, status: str) -> None:
        self.running = self.reply = None
        self.progress.setValue(0)
        self.status.setText(status)
        self.entry.setFocus()
        self.enable()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.dispatch.close()  # stops the model, and nothing is written into a dead window
        super().closeEvent(event)


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="host:port of an LM Studio")
    client = lms.Client(parser.parse_args().host)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, and the model stops
    application = QApplication(sys.argv[:1])
    window = ChatWindow(client)
    window.show()
    try:
        return application.exec()
    finally:
        client.close()  # stops what the window has left


if __name__ == "__main__":
    sys.exit(main())
