"""A chat application in Qt (PySide6): models, images, thinking, saved chats, and Stop at any time.

Uses the LM Studio at --host, or one that runs on this machine. Chats are files in --chats.
"""

import argparse
import itertools
import json
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

import PySide6.QtWidgets as qt
from full_chat_view import HINT, ChatView, reply_html, show, thumbnail
from PySide6.QtCore import QEvent, QLocale, Qt
from PySide6.QtGui import QTextCursor

import lmstudio as lms


class ChatWindow(ChatView):
    """All of it runs in Qt's thread, but what `run` and `start` are given."""

    def __init__(self, client, folder):
        super().__init__()
        self.client, self.folder = client, folder
        self.dispatch = lms.QtDispatcher(self)
        self.run = partial(lms.run_in_background, dispatch=self.dispatch, on_error=self.failed)
        self.model = self.loading = None  # while there is one
        self.reply = None  # what Stop stops: a reply, the opening of a chat, uploads of images
        self.images = []  # of the next question
        self.losses = self.healed = 0  # of the connection; each may lose the images
        self.text, self.before = "", None  # of a reply; the chat as it was before Regenerate
        self.new_chat()
        client.on_connection_change(self.show_connection, dispatch=self.dispatch)

    def failed(self, error):
        is_wanted = isinstance(error, lms.LMStudioCancelledError)
        self.tell("" if is_wanted else str(error), name="failed")

    def refresh(self, *_):
        chosen, is_busy = self.picker.currentData(), self.reply is not None
        has_turns = any(message.role == "user" for message in self.chat) and not is_busy
        is_ready = self.model is not None and self.loading is None
        is_unloading = self.loading == "unload"
        words = "Unloading" if is_unloading else "Cancel" if self.loading else ""
        self.top.setDisabled(is_busy)
        self.picker.setDisabled(self.loading is not None)
        self.load_button.setText(words or ("Unload" if is_ready else "Load"))
        self.load_button.setDisabled(is_unloading)
        self.send_button.setText("Stop" if is_busy else "Send")
        self.send_button.setShortcut("Esc" if is_busy else "")
        self.send_button.setEnabled(is_busy or is_ready)
        self.image_button.setText(f"Images: {len(self.images)}" if self.images else "Images")
        takes_images = bool(self.images) or (chosen is not None and chosen.info.vision)
        self.image_button.setVisible(takes_images and not is_busy)
        has_draft = bool(self.images or self.entry.toPlainText())
        self.edit_button.setVisible(has_turns and not has_draft)  # it would replace the draft
        self.again_button.setVisible(has_turns)
        self.again_button.setEnabled(is_ready)

    def show_connection(self, is_connected):
        self.show_light(is_connected)
        if is_connected:
            self.run(self.client.llm.list_downloaded, on_done=self.show_models)
            self.upload_again()
        else:
            self.losses += 1
            self.loaded(None)

    def start(self, function, arguments, on_done):
        """Call a function with each argument, in another thread; Stop stops it."""

        def work(**options):
            return [function(argument, **options) for argument in arguments]

        if self.reply is not None:
            self.failed("Images are being uploaded. Please try again.")
        else:
            self.reply = self.run(work, on_done=on_done, on_error=self.not_done)
            self.refresh()

    def not_done(self, error):
        self.reply = None
        self.failed(error)
        self.refresh()

    def show_models(self, models):
        self.picker.clear()
        for model in models:
            size = QLocale().formattedDataSize(model.info.size_bytes, 1, QLocale.DataSizeSIFormat)
            self.picker.addItem(f"{model.info.display_name}  ({size})", model)
        self.run(self.current_model, on_done=self.found, on_error=self.refresh)

    def current_model(self, cancel_event=None):
        model = self.client.llm.model(cancel_event=cancel_event)
        return model, model.get_info(cancel_event=cancel_event).model_key

    def found(self, current):
        if self.model is None and self.loading is None:  # nobody was faster
            self.model, key = current
            keys = [self.picker.itemData(number).model_key for number in range(self.picker.count())]
            if key in keys:
                self.picker.setCurrentIndex(keys.index(key))
            self.refresh()

    def load_or_unload(self):
        options = {"on_done": self.loaded, "on_error": self.not_loaded}
        if self.loading is not None:
            self.loading.cancel("stopped")
        elif self.model is not None:
            self.run(self.model.unload, **options)
            self.loading = "unload"  # nothing can be asked from now on
        elif self.picker.count():
            options["on_progress"] = partial(self.tell, "Loading")
            self.loading = self.run(self.picker.currentData().model, **options)
        self.refresh()

    def loaded(self, model):
        self.model, self.loading = model, None  # it is None after it was unloaded
        self.tell("")
        self.refresh()

    def not_loaded(self, error):
        self.loaded(None)
        self.failed(error)

    def new_chat(self):
        self.images = []
        self.show_chat(lms.Chat(), path=None)  # it has a name when there is something to save
        self.add_words("hint", HINT)

    def show_chat(self, chat, path):
        self.chat, self.path, self.reply = chat, path, None
        self.show_turns(chat)
        self.forget_thoughts()
        self.tell("")
        self.entry.setFocus()
        self.refresh()

    def send_or_stop(self):
        question = self.entry.toPlainText().strip()
        if self.reply is not None:
            self.reply.cancel("stopped")  # it never blocks
            self.send_button.setEnabled(False)
            self.tell("Stopping ...")
        elif question and self.send_button.isEnabled():
            if self.upload_again(then=self.send_or_stop):
                return
            chat = self.chat.copy()
            if len(chat) and chat[-1].role == "user":
                chat.drop_last_turn()  # it got no answer, and would be joined to this one
            chat.add_user_message(question, images=self.images)
            if self.ask(chat):
                self.images = []
                self.entry.clear()
                self.save()

    def edit(self):
        question = self.chat.drop_last_turn()[0]
        self.images = question.files
        self.entry.setPlainText(question.text)
        self.entry.moveCursor(QTextCursor.End)
        self.show_turns(self.chat)
        self.entry.setFocus()
        self.refresh()

    def ask_anew(self):
        if self.upload_again(then=self.ask_anew) or not self.again_button.isEnabled():
            return
        chat, before = self.chat.copy(), self.chat
        chat.drop_last_response()
        if self.ask(chat):
            self.before = before  # it stays if nothing comes

    def ask(self, chat):
        """Have a chat answered, and say whether that has begun; if not, nothing has changed."""
        chat.replace_system_prompt(self.prompt.text() or None)
        try:
            self.reply = self.model.respond_stream(chat, config=self.config())
        except lms.LMStudioError as error:
            self.failed(error)
            return False
        self.chat = chat
        self.show_turns(chat)
        self.words = self.add_words("reply")
        self.forget_thoughts()
        self.tell("Waiting ...")
        self.reply.run_in_background(
            on_reasoning=self.think,
            on_answer=self.write,
            on_progress=partial(self.tell, "Reading the prompt"),
            on_done=self.ended,
            on_error=self.ended,
            dispatch=self.dispatch,
        )
        self.refresh()
        return True

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
        show(self.words, reply_html(self.text), "reply")
        self.tell_speed("Writing", self.reply)

    def ended(self, outcome):
        self.reply, is_error = None, isinstance(outcome, BaseException)
        result = getattr(outcome, "partial", None) if is_error else outcome  # what has come
        has_answer = result is not None and bool(result.answer)
        if has_answer:
            self.chat.add_assistant_response(result, reasoning=False)
        elif self.before is not None:
            self.chat = self.before
        self.before, self.text = None, ""
        self.show_turns(self.chat)
        if isinstance(outcome, lms.LMStudioModelNotFoundError):
            self.loaded(None)  # somebody has unloaded it
        if is_error:
            self.losses += 1  # it may be that the images are gone
            self.failed(outcome)
        else:
            self.tell_speed("Stopped" if result.cancelled else "Done", result.stats)
        self.entry.setFocus()
        self.refresh()
        if has_answer:
            self.save()

    # LM Studio may forget an image with its connection, so it is kept here, as a URL.

    def upload(self, image, **options):
        url = lms.data_url(image)
        urls = url, thumbnail(url)
        file = self.client.prepare_image(image, **options)
        self.urls[file.identifier] = urls
        return file

    def choose_images(self):
        paths = qt.QFileDialog.getOpenFileNames(filter="Images (*.png *.jpg *.jpeg *.webp)")[0]
        self.start(self.upload, paths, on_done=self.add_images)  # maybe none

    def add_images(self, files):
        self.reply = None
        self.images += files
        self.refresh()

    def upload_again(self, then=None):
        """Upload what LM Studio may have forgotten, and say whether there is any."""
        draft = lms.Chat()
        draft.add_user_message("", images=self.images)
        files = [file for message in (*self.chat, *draft) for file in message.files]
        if not files or self.losses == self.healed or self.reply is not None:
            return False
        self.forget_images(self.chat)
        chats = [self.messages(chat) for chat in (self.chat, draft)]
        self.start(self.make_chat, chats, on_done=partial(self.uploaded_again, self.losses, then))
        return True

    def uploaded_again(self, losses, then, chats):
        goes_on = then and self.send_button.isEnabled()  # nobody has stopped it
        self.reply, self.healed, (self.chat, draft) = None, losses, chats
        self.images = draft[0].files
        self.refresh()
        if goes_on:
            then()

    def list_chats(self):
        self.chats.clear()
        for path in sorted(self.folder.glob("*.json"), reverse=True)[:20]:  # the newest first
            self.chats.addAction(path.stem, partial(self.open_chat, path))

    def open_chat(self, path, *_):
        self.start(self.read_chat, [path], on_done=partial(self.opened, path=path))

    def read_chat(self, path, **options):
        return self.make_chat(json.loads(path.read_text("utf-8-sig")), **options)

    def make_chat(self, messages, **options):
        return lms.Chat.from_openai(messages, prepare_image=partial(self.upload, **options))

    def messages(self, chat):
        return chat.to_openai(image_url=lambda file: self.urls[file.identifier][0])

    def opened(self, chats, path):
        (chat,) = chats
        self.prompt.setText(chat[0].text if len(chat) and chat[0].role == "system" else "")
        self.show_chat(chat, path)

    def save(self):
        try:
            self.path = self.path or self.new_path()
            whole = self.path.with_suffix(".new")
            whole.write_text(json.dumps(self.messages(self.chat)), "utf-8")
            whole.replace(self.path)  # there is always the old file or the new one
        except OSError as error:
            self.failed(error)

    def new_path(self):
        question = next(message.text for message in self.chat if message.role == "user")
        words = re.sub(r'[<>:"/\\|?*\0-\37\ud800-\udfff]', " ", question).split()
        name = (time.strftime("%Y-%m-%d %H.%M.%S ") + " ".join(words)[:50]).strip()
        names = (f"{name} {number}" if number else name for number in itertools.count())
        paths = (self.folder / f"{name}.json" for name in names)
        return next(path for path in paths if not path.exists())

    def eventFilter(self, entry, event):
        is_enter = event.type() == QEvent.KeyPress and event.key() in (Qt.Key_Return, Qt.Key_Enter)
        sends = is_enter and not event.modifiers() & Qt.ShiftModifier
        if sends and self.reply is None:
            self.send_or_stop()
        return sends

    def closeEvent(self, event):
        self.dispatch.close()  # stops the model, and nothing is written into a dead window
        if self.text:
            self.chat.add_assistant_response(self.text)
            self.text = ""
            self.save()
        super().closeEvent(event)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="host:port of an LM Studio")
    parser.add_argument("--chats", type=Path, help="a folder", default=Path.home() / "chats")
    options = parser.parse_args()
    try:
        options.chats.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--chats {options.chats}: {error.strerror}")
    application = qt.QApplication(sys.argv[:1])
    application.setStyle("Fusion")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, and the model stops
    window = ChatWindow(lms.Client(options.host), options.chats)
    window.show()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
