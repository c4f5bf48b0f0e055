"""A session: the conversation, its model and file, and how a question becomes an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lmstudio as lms

from .._errors import CommandError, complain, in_words
from .._screen import Screen
from .conversation import Conversation, Question
from .hangup import Hangup
from .images import Images
from .keyboard import quiet_keyboard
from .models import change_model, gone
from .replies import Asking, Reply, cut_short, speed
from .saved import Folder, Keeper, read_conversation

__all__ = ["Session"]


class Session:
    """What a person at the prompt has: one conversation at a time.

    Attributes:
        conversation: What was said so far.
        images: Those that go with the next question.
        shows_stats: Each reply is followed by how quick it was.
        last: The result of the last reply.
        is_saved: Conversations are kept.
        reads_keys: The prompt has a line editor.
    """

    def __init__(
        self, client: lms.Client, asking: Asking, screen: Screen, hangup: Hangup, folder: Folder
    ) -> None:
        """Begin with an empty conversation that is kept nowhere."""
        self.client = client
        self.screen = screen
        self.folder = folder
        self.conversation = Conversation()
        self.images: list[str] = []
        self.shows_stats = False
        self.reads_keys = False
        self.last: lms.PredictionResult | None = None
        self.uploads = Images(client)
        self._asking = asking
        self._hangup = hangup
        self.keep_in(None)

    # -- files ----------------------------------------------------------------------------------

    def keep_in(self, new_file: Callable[[], Path] | None) -> None:
        """Keep conversations where this says; None: nowhere."""
        self.is_saved = new_file is not None
        self._keeper = Keeper(new_file, self.screen.note)

    @property
    def path(self) -> Path | None:
        """The file of the conversation, if it has one."""
        return self._keeper.path

    def load(self, wanted: str, command: str = "/load") -> None:
        """Go on with a saved conversation: a number of the list, a part of its title, a path.

        Raises:
            CommandError: There is none.
        """
        path = self.folder.find(wanted, command)
        self.conversation = read_conversation(path)
        self.images = []
        if self.is_saved:
            self._keeper.go_on_with(path, self.conversation)

    def clear(self) -> None:
        """Begin a new conversation; the old one stays in its file."""
        self.conversation = self.conversation.begin_anew()
        self.images = []
        self.last = None
        self._keeper.begin_anew()

    def keep(self) -> None:
        """Write the conversation to its file."""
        with self._hangup.held_back():
            self._keeper.keep(self.conversation)

    # -- models ---------------------------------------------------------------------------------

    def use(self, model: lms.LLM) -> None:
        """Ask this model from now on."""
        self.model = model
        self.conversation.model = model.identifier

    def change_model(self, key: str) -> None:
        """Ask another model from now on, loading it if need be.

        Raises:
            LMStudioError: It cannot be had.
        """
        with quiet_keyboard(self.reads_keys):
            model = change_model(self.client, key, self.screen)
        self.use(model)
        self.keep()

    # -- questions ------------------------------------------------------------------------------

    def ask(self, question: Question) -> bool:
        """Ask, and show the answer. The question is kept before; what is wrong is told.

        Returns:
            Whether there is a whole answer.
        """
        self.conversation.ask(question)
        self.images = []
        return self.answer()

    def answer(self) -> bool:
        """Have the last question answered, in the place of an answer that it has.

        Where nothing comes, that answer stays.

        Returns:
            Whether there is a whole answer.
        """
        before = self.conversation.take_back_answer()
        if before is None:
            self.keep()
        reply = Reply()
        problem: lms.LMStudioError | None = None
        is_interrupted = False
        try:
            with quiet_keyboard(self.reads_keys):
                self._show(reply)
        except lms.LMStudioError as error:
            problem = error
        except KeyboardInterrupt:
            reply.is_stopped = is_interrupted = True
        finally:
            # First of all: the terminal may be gone, and whatever is shown may fail.
            self.last = reply.result
            answer = reply.answer or before
            if answer is not None:
                self.conversation.answer(answer)
            self.keep()
        self.screen.end()
        if is_interrupted:
            self.screen.note("(stopped)")
        return self._tell(reply, problem)

    def _show(self, reply: Reply) -> None:
        try:
            self._show_once(reply)
        except lms.LMStudioRuntimeError:
            # A server keeps images for a connection, and this is a new one: nothing was asked yet.
            self.uploads.forget_uploads()
            self._show_once(reply)
        except lms.LMStudioError:
            self.uploads.forget_uploads()  # in case that it is about these
            raise

    def _show_once(self, reply: Reply) -> None:
        chat = self.uploads.to_chat(self.conversation)
        self._asking.show(self.model, chat, self.screen, reply)

    def _tell(self, reply: Reply, problem: lms.LMStudioError | None) -> bool:
        waits = self.conversation.waiting is not None
        result = reply.result
        if problem is not None:
            complain(self._in_words(problem, waits))
            return False
        if result is not None and (why := cut_short(result)) is not None:
            self.screen.note(f"({why})")
            self.screen.note(f"({self._way_on(result.stats.stop_reason)})")
        elif waits and not reply.is_stopped:
            self.screen.note("(the reply is empty: /retry asks again)")
        if self.shows_stats and result is not None and (line := speed(result)):
            self.screen.note(f"({line})")
        return not waits and not reply.is_stopped

    def _in_words(self, problem: lms.LMStudioError, waits: bool) -> CommandError:
        if isinstance(problem, lms.LMStudioModelNotFoundError):
            told = gone(self.model.identifier)
        else:
            told = in_words(problem)
        hints = [*told.hints]
        if _is_about_context(str(problem)):
            hints.append("Begin a new conversation: /clear. Or change the question: /edit")
        kept = "The question is kept" if waits else "What there is of an answer is kept"
        hints.append(f"{kept}. Ask it again: /retry")
        return CommandError(told.what, *hints, code=told.code)

    def _way_on(self, stop_reason: str) -> str:
        if stop_reason == "contextLengthReached":
            return "/clear begins a new conversation, /edit changes the question"
        if stop_reason == "modelUnloaded":
            return f"/model {self.model.identifier} loads it again, then /retry asks again"
        if stop_reason == "maxPredictedTokensReached":
            return "--max-tokens sets it"
        return "/retry asks again"


def _is_about_context(text: str) -> bool:
    text = text.lower()
    return "context" in text and any(
        word in text for word in ("overflow", "exceed", "length", "full", "too long", "greater")
    )
