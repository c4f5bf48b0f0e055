"""A chat window in Tk: the reply as it comes, and a Stop button that works at any time.

Uses the LM Studio at --host, or one that runs on this machine.
"""

import argparse
import tkinter as tk
from tkinter import ttk

import lmstudio as lms

BLUE, GREY, RED, PAPER, BUBBLE = "#1a56c4", "#6b7280", "#b42318", "#ffffff", "#eef3fc"
DESK, TROUGH = "#f7f8fa", "#e2e5ea"


class ChatWindow(tk.Tk):
    """Everything here runs in Tk's thread; the replies come from elsewhere, by `dispatch`."""

    def __init__(self, client: lms.Client) -> None:
        super().__init__()
        self.title("Chat")
        self.geometry("720x520")
        self.dispatch = lms.TkDispatcher(self)  # closes itself with this window
        self.chat = lms.Chat()
        self.client = client
        self.running: lms.CancelToken | None = None  # stops what runs: from Send until the end
        self.reply: lms.PredictionStream | None = None
        self.part = ""  # of the reply, that is being written: "thought" or "answer"
        self.build()

    def build(self) -> None:
        style = ttk.Style(self)
        style.theme_use("clam")
        style.configure(".", background=DESK)
        bar = "Horizontal.TProgressbar"
        style.configure(bar, background=BLUE, lightcolor=BLUE, darkcolor=BLUE, thickness=4)
        style.configure(bar, troughcolor=TROUGH, bordercolor=TROUGH)
        self.configure(background=DESK)
        self.status = ttk.Label(self, text="Ready.", padding=(14, 6))
        self.status.configure(foreground=GREY)
        self.progress = ttk.Progressbar(self, maximum=1)
        row = ttk.Frame(self, padding=(12, 6, 12, 12))
        self.entry = ttk.Entry(row, font=("DejaVu Sans", 11))
        self.send_button = ttk.Button(row, text="Send", command=self.send)
        self.stop_button = ttk.Button(row, text="Stop", command=self.stop)
        self.entry.pack(side="left", fill="x", expand=True, ipady=5)
        self.send_button.pack(side="left", padx=(8, 0))
        self.stop_button.pack(side="left", padx=(8, 0))
        row.pack(side="bottom", fill="x")
        self.status.pack(side="bottom", fill="x")
        self.progress.pack(side="bottom", fill="x", padx=12)
        self.view = tk.Text(self, wrap="word", font=("DejaVu Sans", 11), background=PAPER)
        self.view.configure(relief="flat", padx=14, pady=12, spacing3=4, state="disabled")
        self.view.pack(fill="both", expand=True)
        bold = ("DejaVu Sans", 10, "bold")
        self.view.tag_configure("you", font=bold, foreground=BLUE, spacing1=10)
        self.view.tag_configure("model", font=bold, foreground=GREY, spacing1=10)
        self.view.tag_configure("question", background=BUBBLE, lmargin1=8, lmargin2=8, rmargin=8)
        self.view.tag_configure("question", lmargincolor=BUBBLE, rmargincolor=BUBBLE)
        self.view.tag_configure("thought", foreground=GREY)
        self.view.tag_configure("note", foreground=GREY, font=("DejaVu Sans", 9, "italic"))
        self.view.tag_configure("error", foreground=RED)
        self.entry.bind("<Return>", lambda event: self.send())
        self.bind("<Escape>", lambda event: self.stop())
        self.entry.focus_set()
        self.enable()

    def enable(self) -> None:
        """Let only those buttons be pressed that do something now."""
        is_idle = self.running is None
        self.send_button.state(["!disabled" if is_idle else "disabled"])
        self.stop_button.state(["disabled" if is_idle else "!disabled"])

    def write(self, text: str, tag: str = "") -> None:
        self.view.configure(state="normal")
        self.view.insert("end", text, tag)
        self.view.configure(state="disabled")
        self.view.see("end")

    def show(self, text: str, part: str) -> None:
        """Write what came of the reply; the answer begins a line of its own after the thoughts."""
        if part != self.part:
            text = text.lstrip()
            if not text:
                return
            if self.part:
                self.write("\n")
            self.part = part
        self.write(text, part)
        speed = self.reply.tokens_per_second if self.reply is not None else None
        doing = "Thinking" if part == "thought" else "Writing"
        self.status.configure(text=f"{doing}, {speed:.0f} tokens/s" if speed else doing)

    def send(self) -> None:
        question = self.entry.get().strip()
        if not question or self.running is not None:
            return
        self.entry.delete(0, "end")
        self.chat.add_user_message(question)
        self.write("You\n", "you")
        self.write(f"{question}\n", "question")
        self.part = ""
        self.status.configure(text="Looking for a model ...")
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
        self.title(f"Chat with {model.identifier}")
        self.write(f"{model.identifier}\n", "model")
        self.status.configure(text="Reading the prompt ...")
        self.reply = model.respond_stream(self.chat, cancel_event=self.running)
        self.reply.run_in_background(
            on_reasoning=lambda text: self.show(text, "thought"),
            on_answer=lambda text: self.show(text, "answer"),
            on_progress=self.show_progress,
            on_done=self.done,
            on_error=self.failed,
            dispatch=self.dispatch,
        )

    def stop(self) -> None:
        if self.running is not None:
            self.running.cancel("stopped")  # never blocks; `done` or `failed` comes soon
            self.stop_button.state(["disabled"])
            self.status.configure(text="Stopping ...")

    def show_progress(self, share: float) -> None:
        self.progress["value"] = share if share < 1 else 0  # nobody knows how long it writes
        self.status.configure(text=f"Reading the prompt: {share:.0%}" if share < 1 else "Writing")

    def done(self, result: lms.PredictionResult) -> None:
        self.keep(result)
        if result.cancelled or not self.part:
            space = " " if self.part else ""
            self.write(f"{space}({'stopped' if result.cancelled else 'no answer'})", "note")
        speed = result.stats.tokens_per_second
        self.end("Stopped." if result.cancelled else f"{speed:.0f} tokens/s" if speed else "Ready.")

    def failed(self, error: BaseException) -> None:
        self.keep(getattr(error, "partial", None))
        if isinstance(error, lms.LMStudioCancelledError):  # there was no model yet
            self.write("(stopped)", "note")
            self.end("Stopped.")
        else:
            self.write(f"\n{error}" if self.part else f"{error}", "error")
            self.end("That did not work.")

    def keep(self, result: lms.PredictionResult | None) -> None:
        if result is not None and result.answer:  # the model is not told again what it thought
            self.chat.add_assistant_response(result, reasoning=False)
        else:
            self.chat.pop()  # the question, so that the next one is not joined to it

    def end(self, status: str) -> None:
        self.write("\n")
        self.running = self.reply = None
        self.progress["value"] = 0
        self.status.configure(text=status)
        self.entry.focus_set()
        self.enable()


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="host:port of an LM Studio")
    client = lms.Client(parser.parse_args().host)
    try:
        ChatWindow(client).mainloop()
    finally:
        client.close()  # stops what the window has left


if __name__ == "__main__":
    main()
