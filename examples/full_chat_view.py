"""What full_chat.py shows: its widgets, and texts of others as HTML that Qt may show."""

import base64
import html
import re
from pathlib import Path

import PySide6.QtWidgets as qt
from PySide6.QtCore import QBuffer, QSize, Qt
from PySide6.QtGui import QDesktopServices, QImageReader, QTextDocument

import lmstudio as lms

HINT = "<h2>What is on your mind?</h2>Load a model, then ask. Enter sends, Escape stops."
MARKDOWN = QTextDocument.MarkdownDialectGitHub | QTextDocument.MarkdownNoHTML


def reply_html(markdown):
    """A reply as HTML. Qt would read an image of it from this computer, so there is none in it."""
    document = QTextDocument()
    document.setMarkdown(markdown, MARKDOWN)
    text = document.toHtml()  # all text and all attributes in it are escaped
    text = re.sub('<img [^>]*? alt="([^">]*)"[^>]*>', r"[image: \1]", text)
    text = re.sub("<img[^>]*>", "[image]", text)
    text = re.sub('<body style=".*?">', "<body>", text)  # it has a font of its own
    text = text.replace('<p style="', '<p style="line-height: 130%;')
    parts = re.split("(<[^>]*>)", text)  # texts and tags in turn; a long word may break
    parts[::2] = [re.sub(r"[^\s&;]{40}", "\\g<0>&#8203;", part) for part in parts[::2]]
    text = "".join(parts)
    return text.replace('<pre style="', '<pre style="white-space: pre-wrap; background: #1e808080;')


def question_html(text, urls):
    """A question as HTML, with the thumbnails of its images."""
    images = "".join(f'<img src="{url}"><br>' for url in urls)
    text = html.escape(text).replace("\n", "<br>")
    return f'{images}<span style="white-space: pre-wrap;">{text}</span>'


def thumbnail(url):
    """A small PNG of an image; its URL says what it is, so that Qt need not guess."""
    kind, _, content = url.removeprefix("data:image/").partition(";base64,")
    reader, buffer, png = QImageReader(), QBuffer(), QBuffer()  # let go in this order
    buffer.setData(base64.b64decode(content))
    reader.setDevice(buffer)
    reader.setFormat(kind.encode())
    reader.setAutoDetectImageFormat(False)
    reader.setAutoTransform(True)  # a photo stands upright
    reader.setScaledSize(reader.size().scaled(480, 160, Qt.KeepAspectRatio).expandedTo(QSize(1, 1)))
    image = reader.read()
    if image.isNull():
        raise ValueError(f"This image cannot be shown: {reader.errorString()}")
    image.save(png, "PNG")
    return lms.data_url(png.data())


def open_link(url):
    if url.startswith(("http:", "https:")):  # no model opens a file of this computer
        QDesktopServices.openUrl(url)


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


class ChatView(qt.QWidget):
    """The widgets of the window. What they do when they are clicked is in full_chat.py."""

    def __init__(self):
        super().__init__(windowTitle="Chat", size=QSize(920, 700))
        self.rows = []  # what is shown of the chat
        self.urls = {}  # of an image and of its thumbnail, by the identifier of its file
        self.build()

    def build(self):
        self.setStyleSheet(Path(__file__).with_name("full_chat.qss").read_text("utf-8"))
        chats_button = qt.QPushButton("Chats")
        self.chats = qt.QMenu(self, aboutToShow=self.list_chats)
        chats_button.setMenu(self.chats)
        new_button = qt.QPushButton("New", clicked=self.new_chat)
        self.picker = qt.QComboBox(minimumContentsLength=10)
        self.picker.activated.connect(lambda: self.loaded(None))
        self.load_button, self.light = qt.QPushButton(clicked=self.load_or_unload), qt.QLabel()
        show(self.light, "● connecting")
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
        self.status = qt.QLabel(wordWrap=True, textFormat=Qt.PlainText)  # foreign errors, too
        self.entry = qt.QPlainTextEdit(objectName="entry", placeholderText="Ask something")
        self.entry.installEventFilter(self)
        self.entry.textChanged.connect(self.refresh)
        self.thoughts_button = qt.QPushButton("Thoughts", checkable=True, visible=False)
        self.thoughts_button.toggled.connect(self.thoughts.setVisible)
        self.image_button = qt.QPushButton(clicked=self.choose_images)
        self.edit_button = qt.QPushButton("Edit", clicked=self.edit)
        self.again_button = qt.QPushButton("Regenerate", clicked=self.ask_anew)
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

    def tell(self, text, share=0.0, name="note"):
        show(self.status, f"{text}: {share:.0%}" if share else text, name)
        self.bar.setValue(round(100 * share) % 100)

    def tell_speed(self, doing, measured):
        speed = measured.tokens_per_second
        self.tell(f"{doing}, {speed:.0f} tokens/s" if speed else doing)

    def forget_thoughts(self):
        self.thoughts.clear()
        self.thoughts_button.setChecked(False)
        self.thoughts_button.hide()

    def show_light(self, is_connected):
        words = ("● connected", "connected") if is_connected else ("● not connected", "failed")
        show(self.light, *words)

    def config(self):
        """What the settings say, as a prediction takes it."""
        return {"temperature": self.temperature.value()}

    def follow(self, _, end):
        if self.scroll.value() >= self.end - 40:  # nobody has scrolled up
            self.scroll.setValue(end)
        self.end = end

    def show_turns(self, chat):
        """Make what is shown that of the chat; what has not changed stays as it is."""
        turns = []
        for message in chat:
            if message.role in ("user", "assistant"):
                urls = [self.urls[file.identifier][1] for file in message.files]
                turns.append((message.role, message.text, urls))
        while self.rows and self.rows != turns[: len(self.rows)]:
            self.rows.pop()
        while self.turns.count() > len(self.rows):
            self.turns.takeAt(self.turns.count() - 1).widget().setParent(None)
        for role, text, urls in turns[len(self.rows) :]:
            if role == "user":
                self.add_words("question", question_html(text, urls))
            else:
                self.add_words("reply", reply_html(text))
        self.rows = turns
        self.forget_images(chat)

    def forget_images(self, chat):
        """Forget the images that are neither in a chat nor chosen for the next question."""
        files = [file for message in chat for file in message.files] + self.images
        self.urls = {file.identifier: self.urls[file.identifier] for file in files}

    def add_words(self, name, text=""):
        words, row = qt.QLabel(textFormat=Qt.RichText, linkActivated=open_link), qt.QWidget()
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
