"""The public API is what is on record, and no change of it is kept from the changelog."""

import ast

import pytest
from api import record
from api.announced import Changes, entries
from api.public_api import describe

import lmstudio as lms
import lmstudio.testing

BEFORE = {
    "lmstudio": ["module"],
    "lmstudio.Client": ["class"],
    "lmstudio.Client(timeout)": ["keyword, float = 1.0"],
    "lmstudio.Client.close": ["method -> None"],
    "lmstudio.Client.close(timeout)": ["positional 1, float = 2.0"],
    "lmstudio.EmbeddingModel": ["class, is a SyncModelHandle"],
    "lmstudio.LLM": ["class, is a SyncModelHandle"],
    "lmstudio.LLM.respond": ["method -> PredictionResult"],
    "lmstudio.LLM.respond(history)": ["positional 1, ChatInput"],
    "python -m lmstudio": ["program"],
    "python -m lmstudio batch": ["program"],
    "type ChatInput": ["= str | Chat"],
}
TO_CLOSE = {"lmstudio.Client.close(reason)": ["keyword, str = ''"]}
NEW_CLASS = {
    "lmstudio.Batch": ["class"],
    "lmstudio.Batch(size)": ["keyword, int"],
    "lmstudio.Batch.cancel": ["method -> bool"],
}
TO_BOTH = {
    "lmstudio.EmbeddingModel.warm_up": ["method -> None"],
    "lmstudio.EmbeddingModel.warm_up(seconds)": ["keyword, float"],
    "lmstudio.LLM.warm_up": ["method -> None"],
    "lmstudio.LLM.warm_up(seconds)": ["keyword, float"],
}
TO_ALL = {
    "lmstudio.Client.close(idle)": ["keyword, float = 1.0"],
    "lmstudio.LLM.respond(idle)": ["keyword, float = 1.0"],
}
NEW_OPTION = {"python -m lmstudio batch --resume": ["option without a value"]}
CHANGED = {"lmstudio.Client.close(timeout)": ["positional 1, float = 5.0"]}
WIDER = {"type ChatInput": ["= str | Chat | list[str]"]}


def changelog(text, heading="Added"):
    """A changelog with one entry for what is not released, and one that is."""
    return (
        f"# Changelog\n\n## [Unreleased]\n\n### {heading}\n\n- {text}\n\n"
        "## [1.0.0]\n\n### Added\n\n- `Client.close(reason=, idle=)`, `Batch`, `LLM.warm_up()`.\n"
    )


def unannounced(added, text, heading="Added"):
    return list(Changes(BEFORE, {**BEFORE, **added}, changelog(text, heading)).unannounced())


def without(*paths):
    return {path: texts for path, texts in BEFORE.items() if not path.startswith(paths)}


@pytest.fixture(scope="module")
def now():
    return describe()


def test_the_public_api_is_on_record_and_the_changelog_announces_what_changed(now):
    texts = record.CHANGELOG.read_text(encoding="utf-8")
    found = list(record.problems(now, record.read(record.NOW), record.read(record.BEFORE), texts))

    assert not found, "\n\n".join(found)


def test_every_public_name_is_on_record(now):
    assert not [name for name in lms.__all__ if f"lmstudio.{name}" not in now]
    names = lmstudio.testing.__all__
    assert not [name for name in names if f"lmstudio.testing.{name}" not in now]


@pytest.mark.parametrize(
    "line",
    [
        "lmstudio.Client.close: method -> None",
        "lmstudio.Client(connect_timeout): keyword, float = 5.0",
        # Inherited, listed by a typed dict, and reached through a property.
        "lmstudio.LLM.unload(cancel_event): keyword, CancelEvent, optional",
        "lmstudio.Client.llm.model(ttl): keyword, int | None = 3600",
        "lmstudio.LlmPredictionConfig.temperature: field, keyword, float | None = None",
        "lmstudio.TextDataDict[text]: required, str",
        "lmstudio.TextData.to_dict: method -> dict[str, Any]",
        "lmstudio.LMStudioCancelledError: class, is a LMStudioClientError, LMStudioError",
        "lmstudio.LMStudioError.partial: attribute, PredictionResult | None",
        "lmstudio.errors.LMStudioError: = lmstudio.LMStudioError",
        "lmstudio.testing.Server(port): keyword, int = 0",
        "python -m lmstudio batch --retries: option = 0",
        "pytest fixture lmstudio_server: Iterator[Server]",
    ],
)
def test_what_a_line_says(now, line):
    path, _, text = line.partition(": ")

    assert text in now[path]


def test_defaults_and_types_are_python_and_nothing_private_is_on_record(now):
    for path, texts in now.items():
        parts = path.removeprefix("lmstudio._sdk_models").split(".")
        assert not [part for part in parts if part.startswith("_") and part[:2] != "__"]
        for text in texts:
            assert " at 0x" not in text
            if path.startswith("lmstudio") and " = " in text and not text.endswith("= ?"):
                ast.parse(text.rpartition(" = ")[2], mode="eval")


def test_a_change_that_is_not_on_record_is_told_line_by_line(now):
    recorded = {**now, "lmstudio.Client.close": ["method -> bool"], "lmstudio.Old": ["class"]}
    del recorded["lmstudio.Chat"]

    (text,) = record.problems(now, recorded, now, "")

    assert "\n  + lmstudio.Chat: class\n" in text
    assert "\n  - lmstudio.Client.close: method -> bool\n" in text
    assert "\n  + lmstudio.Client.close: method -> None\n" in text
    assert "\n  - lmstudio.Old: class\n" in text
    assert "announce it in CHANGELOG.md" in text
    assert "record.py --write" in text


def test_a_change_that_no_line_announces_is_told(now):
    before = {path: texts for path, texts in now.items() if path != "lmstudio.Chat.copy"}

    (text,) = record.problems(now, now, before, changelog("Quicker."))

    assert "\n  added    lmstudio.Chat.copy\n" in text
    assert not list(record.problems(now, now, before, changelog("Added `Chat.copy()`.")))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (TO_CLOSE, "Added `Client.close(reason=)`."),
        (TO_CLOSE, "`Client` has news:\n  `close()` takes a `reason`."),
        (NEW_CLASS, "Added `Batch`."),  # and all that it has
        (TO_BOTH, "Added `LLM.warm_up()`."),  # once for all classes that got it
        (TO_ALL, "Every call takes `idle=`."),
        (NEW_OPTION, "Added `python -m lmstudio batch --resume`."),
        (CHANGED, "`Client.close()` waits longer by default (`timeout=`)."),
        (WIDER, "Added lists to `ChatInput`."),
        (WIDER, "`LLM.respond()` takes lists."),  # whoever takes it may be named
        ({"type New": ["= int"]}, "Quicker."),  # it has no public name
    ],
)
def test_a_change_is_announced(change, text):
    assert unannounced(change, text) == []


@pytest.mark.parametrize(
    ("change", "text", "missing"),
    [
        (TO_CLOSE, "Client.close(reason=) without backticks", "lmstudio.Client.close(reason)"),
        (TO_CLOSE, "Added `close(reason=)` to what?", "lmstudio.Client.close(reason)"),
        (TO_CLOSE, "`Client.close()` is quicker.", "lmstudio.Client.close(reason)"),
        (TO_CLOSE, "`Client.close()`\n- `Batch(reason=)`", "lmstudio.Client.close(reason)"),
        (NEW_CLASS, "Added `Batches`.", "lmstudio.Batch"),
        (NEW_OPTION, "Added `--again` to `batch`.", "python -m lmstudio batch --resume"),
        (CHANGED, "`Client.close()` waits longer.", "lmstudio.Client.close(timeout)"),
        (WIDER, "Quicker.", "type ChatInput"),
    ],
)
def test_a_change_is_not_announced(change, text, missing):
    assert unannounced(change, text) == [missing]


def test_a_parameter_of_every_call_stands_in_an_entry_that_names_no_call():
    assert unannounced(TO_ALL, "`Batch()` takes `idle=`.") == list(TO_ALL)


def test_what_an_older_version_announced_does_not_count():
    assert unannounced({**TO_CLOSE, **NEW_CLASS}, "Quicker.") == [
        "lmstudio.Batch",
        "lmstudio.Client.close(reason)",
    ]
    assert [entry.names for entry in entries("## [1.0.0]\n\n### Added\n\n- `Client`\n")] == []


def test_a_removal_stands_under_removed():
    now = without("lmstudio.Client")

    def missing(heading):
        text = changelog("`Client` is gone.", heading)
        return Changes(BEFORE, now, text).unannounced()

    assert missing("Removed") == {}
    assert missing("Changed") == {"lmstudio.Client": "removed"}


def test_a_record_that_is_written_is_read_back(tmp_path, now):
    record.write(tmp_path / "record.txt", now)

    assert record.read(tmp_path / "record.txt") == now


def test_the_program_writes_the_record_and_tells_what_is_not_announced(
    tmp_path, monkeypatch, capsys, now
):
    monkeypatch.setattr(record, "NOW", tmp_path / "now.txt")
    monkeypatch.setattr(record, "BEFORE", tmp_path / "before.txt")
    monkeypatch.setattr(record, "CHANGELOG", tmp_path / "CHANGELOG.md")
    record.CHANGELOG.write_text(changelog("Quicker."))
    for file in (record.NOW, record.BEFORE):
        record.write(file, {p: t for p, t in now.items() if not p.startswith("lmstudio.Chat.copy")})

    assert record.main([]) == 1
    assert "+ lmstudio.Chat.copy: method -> Self" in capsys.readouterr().out
    assert record.main(["--write"]) == 1  # it is on record now, and still not announced
    assert "added    lmstudio.Chat.copy" in capsys.readouterr().out
    assert record.read(record.NOW) == now
    assert record.main(["--release"]) == 1  # so it cannot be released
    assert record.read(record.BEFORE) != now
    record.CHANGELOG.write_text(changelog("Added `Chat.copy()`."))
    assert record.main(["--release"]) == 0
    assert record.read(record.BEFORE) == now
