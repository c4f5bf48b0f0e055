"""A chat application in Qt (PySide6): models, images, thinking, saved chats, and Stop at any time.

Uses the LM Studio at --host, or one that runs on this machine. Chats are files in --chats.
"""

import argparse
import base64
import html
import json
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

import PySide6.QtWidgets as qt
from PySide6.QtCore import QEvent, QLocale, QSize, Qt
from PySide6.QtGui import QDesktopServices, QTextCursor, QTextDocument

import lmstudio as lms

HINT = "<h2>What is on your mind?</h2>Load a model, then ask. Enter sends, Escape stops."
MARKDOWN = QTextDocument.MarkdownDialectGitHub | QTextDocument.MarkdownNoHTML


def lay_out(layout, *parts, margin=0, spacing=8):
    """Fill a layout with widgets and layouts, and return it."""
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(spacing)
    for part in parts:
        (layout.addWidget if part.isWidgetType() else layout.addLayout)(part)
    return layout


def show(label, text, name="note"):
    """Show a text in the style of that name."""
    label.setObjectName(name)
    label.style().polish(label)
    label.setText(text)
    label.setVisible(bool(text))


def as_html(markdown):
    document = QTextDocument()
    document.setMarkdown(markdown, MARKDOWN)
    text = re.sub('<body style=".*?">', "<body>", document.toHtml())  # it has a font of its own
    text = text.replace('<p style="', '<p style="line-height: 130%;')
    return text.replace('<pre style="', '<pre style="background-color: #1e808080;')


def open_link(url):
    if url.startswith(("http:", "https:")):  # no model opens a file of this computer
        QDesktopServices.openUrl(url)


class ChatWindow(qt.QWidget):
    """Everything here runs in Qt's thread, but `upload` and `restore`."""

    def __init__(self, client, folder):
        super().__init__(windowTitle="Chat", size=QSize(920, 700))
        self.client, self.folder = client, folder
        self.dispatch = lms.QtDispatcher(self)
        self.run = partial(lms.run_in_background, dispatch=self.dispatch, on_error=self.failed)
        self.model = self.loading = self.reply = None  # while there is one
        self.images, self.urls = [], {}  # of the next question; what they and all others show
        self.build()
        self.new_chat()
        client.on_connection_change(self.show_connection, dispatch=self.dispatch)

    def build(self):
        self.setStyleSheet(Path(__file__).with_suffix(".qss").read_text("utf-8"))
        chats_button = qt.QPushButton("Chats")
        self.chats = qt.QMenu(self, aboutToShow=self.list_chats)
        chats_button.setMenu(self.chats)
        new_button = qt.QPushButton("New", clicked=self.new_chat)
        self.picker = qt.QComboBox(minimumContentsLength=10)
        self.picker.activated.connect(lambda: self.loaded(None))
        self.load_button, self.light = qt.QPushButton(clicked=self.load_or_unload), qt.QLabel()
        self.top, self.bar = qt.QWidget(), qt.QProgressBar(textVisible=False)
        row = (chats_button, new_button, self.picker, self.load_button, self.light)
        lay_out(qt.QHBoxLayout(self.top), *row, margin=12).setStretch(2, 1)

        page, column = qt.QScrollArea(widgetResizable=True), qt.QWidget(maximumWidth=800)
        page.setWidget(column)
        page.setAlignment(Qt.AlignHCenter)
        self.turns = lay_out(qt.QVBoxLayout(column), margin=16, spacing=18)
        self.turns.setAlignment(Qt.AlignTop)
        self.scroll, self.end = page.verticalScrollBar(), 0
        self.scroll.rangeChanged.connect(self.follow)
        self.thoughts = qt.QTextBrowser(objectName="thoughts", visible=False)
        self.status = qt.QLabel(wordWrap=True)
        self.entry = qt.QPlainTextEdit(objectName="entry", placeholderText="Ask something")
        self.entry.installEventFilter(self)
        self.thoughts_button = qt.QPushButton("Thoughts", checkable=True, visible=False)
        self.thoughts_button.toggled.connect(self.thoughts.setVisible)
        self.image_button = qt.QPushButton(clicked=self.choose_images)
        self.edit_button = qt.QPushButton("Edit", clicked=self.edit)
        self.again_button = qt.QPushButton("Regenerate", clicked=self.ask)
        self.send_button = qt.QPushButton(objectName="send", clicked=self.send_or_stop)
        row = (self.thoughts_button, self.image_button, self.edit_button, self.again_button)
        row = lay_out(qt.QHBoxLayout(), *row, self.send_button)
        row.insertStretch(4)
        composer, below = qt.QFrame(objectName="composer"), qt.QWidget(maximumWidth=800)
        lay_out(qt.QVBoxLayout(composer), self.entry, row, margin=10)
        self.prompt = qt.QLineEdit(placeholderText="System prompt")
        self.temperature = qt.QDoubleSpinBox(prefix="  Temperature ", singleStep=0.1, value=0.7)
        settings = lay_out(qt.QHBoxLayout(), self.prompt, self.temperature)
        parts = (self.thoughts, self.status, composer, settings)
        lay_out(qt.QVBoxLayout(below), *parts, margin=16)
        parts = (self.top, self.bar, page, lay_out(qt.QHBoxLayout(), below))
        lay_out(qt.QVBoxLayout(self), *parts, spacing=0).setStretch(2, 1)

    def follow(self, _, end):
        if self.scroll.value() >= self.end - 40:  # nobody has scrolled up
            self.scroll.setValue(end)
        self.end = end

    def tell(self, text, share=0.0, name="note"):
        show(self.status, f"{text}: {share:.0%}" if share else text, name)
        self.bar.setValue(round(100 * share) % 100)

    def tell_speed(self, doing, measured):
        speed = measured.tokens_per_second
        self.tell(f"{doing}, {speed:.0f} tokens/s" if speed else doing)

    def failed(self, error):
        is_wanted = isinstance(error, lms.LMStudioCancelledError)
        self.tell("" if is_wanted else str(error), name="failed")

    def refresh(self, *_):
        chosen, is_busy, has_turns = self.picker.currentData(), bool(self.reply), len(self.chat) > 0
        self.top.setDisabled(is_busy)
        self.picker.setDisabled(self.loading is not None)
        self.load_button.setText("Cancel" if self.loading else "Unload" if self.model else "Load")
        self.send_button.setText("Stop" if is_busy else "Send")
        self.send_button.setShortcut("Esc" if is_busy else "")
        self.send_button.setEnabled(self.model is not None)
        self.image_button.setText(f"Images: {len(self.images)}" if self.images else "Images")
        self.image_button.setVisible(chosen is not None and chosen.info.vision and not is_busy)
        for widget in (self.edit_button, self.again_button):
            widget.setVisible(has_turns and not is_busy)

    def show_connection(self, is_connected):
        words = ("● connected", "connected") if is_connected else ("● not connected", "failed")
        show(self.light, *words)
        if is_connected:
            self.run(self.client.llm.list_downloaded, on_done=self.show_models)
            if self.path and self.reply is None:
                self.open_chat(self.path)  # its images were on the connection that is gone
        else:
            self.images = []
            self.loaded(None)

    def open_chat(self, path, *_):
        shown = partial(self.show_chat, path=path)
        self.reply = self.run(self.restore, path, on_done=shown, on_error=self.ended)
        self.refresh()

    def restore(self, path, cancel_event=None):
        upload = partial(self.upload, cancel_event=cancel_event)
        return lms.Chat.from_openai(json.loads(path.read_text("utf-8")), prepare_image=upload)

    def show_models(self, models):
        self.picker.clear()
        for model in models:
            size = QLocale().formattedDataSize(model.info.size_bytes, 1, QLocale.DataSizeSIFormat)
            self.picker.addItem(f"{model.info.display_name}  ({size})", model)
        self.run(self.client.llm.model, on_done=self.loaded, on_error=self.refresh)

    def load_or_unload(self):
        options = {"on_done": self.loaded, "on_error": self.not_loaded}
        if self.loading is not None:
            self.loading.cancel("stopped")
        elif self.model is not None:
            self.run(self.model.unload, **options)
        elif self.picker.count():
            options["on_progress"] = partial(self.tell, "Loading")
            self.loading = self.run(self.picker.currentData().model, **options)
        self.refresh()

    def loaded(self, model):
        self.model, self.loading = model, None  # it is None after it was unloaded
        keys = [self.picker.itemData(number).model_key for number in range(self.picker.count())]
        if model is not None and model.identifier in keys:
            self.picker.setCurrentIndex(keys.index(model.identifier))
        self.tell("")
        self.refresh()

    def not_loaded(self, error):
        self.loaded(None)
        self.failed(error)

    def new_chat(self):
        self.show_chat(lms.Chat(), path=None)  # it has a name when there is something to save
        self.add_words("hint", HINT)

    def show_chat(self, chat, path):
        self.chat, self.path, self.reply, self.text = chat, path, None, ""
        while self.turns.count():
            self.turns.takeAt(0).widget().setParent(None)
        for message in chat:
            if message.role == "user":
                urls = [self.urls[file.identifier] for file in message.files]
                images = "".join(f'<img src="{url}" height="160"><br>' for url in urls)
                text = html.escape(message.text).replace("\n", "<br>")
                self.add_words("question", images + text)
            elif message.role == "assistant":
                self.add_words("reply", as_html(message.text))
            else:
                self.prompt.setText(message.text)
        self.entry.setFocus()
        self.refresh()

    def add_words(self, name, text=""):
        words, row = qt.QLabel(linkActivated=open_link), qt.QWidget()
        words.setTextInteractionFlags(Qt.TextBrowserInteraction)
        line = lay_out(qt.QHBoxLayout(row), words)
        self.turns.addWidget(row)
        show(words, text, name)
        if name == "question":
            line.insertStretch(0, 1)
            line.setStretch(1, 4)  # of five parts of the width, at most
            words.setMaximumWidth(words.sizeHint().width())
        words.setWordWrap(True)
        return words

    def send_or_stop(self):
        question = self.entry.toPlainText().strip()
        if self.reply is not None:
            self.reply.cancel("stopped")  # it never blocks
            self.send_button.setEnabled(False)
            self.tell("Stopping ...")
        elif question and self.model is not None:
            if len(self.chat) and self.chat[-1].role == "user":
                self.chat.drop_last_turn()  # it got no answer, and would be joined to this one
            self.chat.add_user_message(question, images=self.images)
            self.entry.clear()
            self.images = []
            self.ask()

    def edit(self):
        question = self.chat.drop_last_turn()[0]
        self.entry.setPlainText(question.text)
        self.images = question.files
        self.show_chat(self.chat, self.path)

    def ask(self):
        self.chat.drop_last_response()  # when it is answered anew
        self.chat.replace_system_prompt(self.prompt.text() or None)
        self.show_chat(self.chat, self.path)
        self.words = self.add_words("reply")
        self.thoughts.clear()
        self.thoughts_button.hide()
        config = {"temperature": self.temperature.value()}
        self.reply = self.model.respond_stream(self.chat, config=config)
        self.reply.run_in_background(
            on_reasoning=self.think,
            on_answer=self.write,
            on_progress=partial(self.tell, "Reading the prompt"),
            on_done=self.ended,
            on_error=self.ended,
            dispatch=self.dispatch,
        )
        self.refresh()
        self.save()

    def think(self, text):
        if not self.thoughts.toPlainText():
            self.thoughts_button.show()
            self.thoughts_button.setChecked(True)
        self.thoughts.moveCursor(QTextCursor.End)
        self.thoughts.insertPlainText(text)
        self.tell_speed("Thinking", self.reply)

    def write(self, text):
        self.thoughts_button.setChecked(self.thoughts_button.isChecked() and bool(self.text))
        self.text = (self.text + text).lstrip()
        show(self.words, as_html(self.text), "reply")
        self.tell_speed("Writing", self.reply)

    def ended(self, outcome):
        self.reply, is_error = None, isinstance(outcome, BaseException)
        result = getattr(outcome, "partial", None) if is_error else outcome  # what has come
        if result is not None and result.answer:
            self.chat.add_assistant_response(result, reasoning=False)
        if isinstance(outcome, lms.LMStudioModelNotFoundError):
            self.loaded(None)  # somebody has unloaded it
        if is_error:
            self.failed(outcome)
        else:
            self.tell_speed("Stopped" if result.cancelled else "Done", result.stats)
        self.entry.setFocus()
        self.refresh()
        if len(self.chat):
            self.save()

    def choose_images(self):
        for path in qt.QFileDialog.getOpenFileNames(filter="Images (*.png *.jpg *.webp)")[0]:
            self.run(self.upload, Path(path).read_bytes(), on_done=self.add_image)

    def add_image(self, file):
        self.images.append(file)
        self.refresh()

    def upload(self, data, **options):
        file = self.client.prepare_image(data, **options)
        self.urls[file.identifier] = f"data:image;base64,{base64.b64encode(data).decode()}"
        return file

    def list_chats(self):
        self.chats.clear()
        for path in sorted(self.folder.glob("*.json"), reverse=True)[:20]:
            self.chats.addAction(path.stem, partial(self.open_chat, path))

    def save(self):
        if self.path is None:
            question = re.sub(r"[^\w ]", "", self.chat.last_message("user").text)[:50]
            self.path = self.folder / time.strftime(f"%Y-%m-%d %H.%M.%S {question}.json")
        messages = self.chat.to_openai(image_url=lambda file: self.urls[file.identifier])
        whole = self.path.with_suffix(".new")
        try:
            whole.write_text(json.dumps(messages), "utf-8")
            whole.replace(self.path)  # there is always the old file or the new one
        except OSError as error:
            self.failed(error)

    def eventFilter(self, entry, event):
        is_enter = event.type() == QEvent.KeyPress and event.key() in (Qt.Key_Return, Qt.Key_Enter)
        sends = is_enter and not event.modifiers() & Qt.ShiftModifier
        if sends and self.reply is None:
            self.send_or_stop()
        return sends

    def closeEvent(self, event):
        self.dispatch.close()  # stops the model, and nothing is written into a dead window
        super().closeEvent(event)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="host:port of an LM Studio")
    parser.add_argument("--chats", type=Path, help="a folder", default=Path.home() / "chats")
    options = parser.parse_args()
    options.chats.mkdir(mode=0o700, parents=True, exist_ok=True)
    application = qt.QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, and the model stops
    window = ChatWindow(lms.Client(options.host), options.chats)
    window.show()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
