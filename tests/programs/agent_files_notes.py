"""A small application: notes that a model keeps in files."""

import json
import sys
import tempfile
from pathlib import Path

import lmstudio as lms


class Notes:
    """The notes of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def _path(self, title: str) -> Path:
        if not title.isidentifier():
            raise ValueError(f"{title!r} cannot be a title")
        return self.folder / f"{title}.json"

    def write_note(self, title: str, text: str, tags: list[str] | None = None) -> str:
        """Write a note; one with this title is replaced."""
        note = {"text": text, "tags": tags or []}
        self._path(title).write_text(json.dumps(note), encoding="utf-8")
        self.count += 1
        return f"Note {self.count} written."

    def read_note(self, title: str) -> dict[str, object]:
        """Read a note."""
        return json.loads(self._path(title).read_text(encoding="utf-8"))

    def find_notes(self, tag: str = "") -> list[str]:
        """Tell the titles of the notes with a tag, or of all."""
        titles = sorted(path.stem for path in self.folder.glob("*.json"))
        return [title for title in titles if not tag or tag in self.read_note(title)["tags"]]


def show(message):
    parts = sorted(message.to_dict()["content"], key=lambda part: part.get("toolCallId", ""))
    for part in parts:
        print("  ", message.role, part.get("content") or part.get("text") or part["type"])


with tempfile.TemporaryDirectory() as folder, lms.Client(sys.argv[1]) as client:
    notes = Notes(Path(folder))
    tools = [notes.write_note, notes.read_note, notes.find_notes]
    model = client.llm.model()
    for request in ("Note that the lamp is lit.", "What did I note?", "Note this: ../x"):
        print(request)
        model.act(request, tools, on_message=show)
    print(notes.count, notes.find_notes("lamp"), notes.find_notes())
