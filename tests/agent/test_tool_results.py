"""What a tool may return, and what the model then reads."""

import datetime
import json

import pytest

import lmstudio as lms


def told(server, model, value):
    """What the server gets as the result of a tool that returns a value."""

    def tool() -> object:
        """Return it."""
        return value

    server.reply(tool_calls=[{"name": "tool", "arguments": {}}])
    server.reply("done")
    messages = []
    model.act("q", [tool], on_message=messages.append)
    return json.loads(messages[1].content[0].content)


def test_numbers_truths_and_arrays_of_numpy_become_json(server, model):
    np = pytest.importorskip("numpy")

    assert told(server, model, np.int64(3)) == 3
    assert told(server, model, {"mean": np.float32(0.5), "ok": np.bool_(True)}) == {
        "mean": 0.5,
        "ok": True,
    }
    assert told(server, model, np.arange(4).reshape(2, 2)) == [[0, 1], [2, 3]]
    assert told(server, model, np.array([3.0])) == [3.0]  # one number, but an array


def test_tables_of_pandas_become_their_rows(server, model):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"city": ["Ulm", "Ulm", "Bonn"], "sales": [1, 2, 4]})

    assert told(server, model, frame)[0] == {"city": "Ulm", "sales": 1}
    assert told(server, model, frame["sales"]) == [1, 2, 4]
    assert told(server, model, frame.groupby("city").sum()) == [
        {"city": "Bonn", "sales": 4},
        {"city": "Ulm", "sales": 3},
    ]
    assert told(server, model, frame.groupby("city")["sales"].sum()) == [
        {"city": "Bonn", "sales": 4},
        {"city": "Ulm", "sales": 3},
    ]
    assert told(server, model, pd.Timestamp(2026, 1, 2)) == "2026-01-02T00:00:00"


def test_moments_of_any_class_become_their_iso_form(server, model):
    class Moment(datetime.datetime):
        pass

    assert told(server, model, Moment(2026, 1, 2)) == "2026-01-02T00:00:00"


def test_what_json_has_no_form_for_is_told_to_the_model(server, model):
    server.reply(tool_calls=[{"name": "tool", "arguments": {}}])
    server.reply("done")
    messages = []

    def tool() -> object:
        """Return it."""
        return object()

    model.act("q", [tool], on_message=messages.append)

    assert "JSON has no form for" in messages[1].content[0].content
    assert isinstance(messages[1], lms.ToolResultMessage)
