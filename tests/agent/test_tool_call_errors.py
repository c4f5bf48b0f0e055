"""What an error of a tool call tells: the model's own text, the tool's name, the arguments."""

import copy
import pickle

import pytest
from agent.acting import act, call
from helpers import Worker

import lmstudio as lms


def known(error):
    return error.raw_content, error.tool_name, error.tool_arguments


def test_errors_of_calls_that_could_be_read_tell_what_the_model_wrote(server, half, tools, chat):
    def fail(path: str) -> None:
        """Fail."""
        raise FileNotFoundError(path)

    server.reply(tool_calls=[call("nobody", a=1), call("add", a="many"), call("fail", path="/x")])
    server.reply("I see.")
    seen = []

    def handle(error, request):
        assert (error.tool_name, error.tool_arguments) == (request.name, request.arguments)
        seen.append((str(error), *known(error), type(error.__cause__)))

    act(half, chat, [tools.add, fail], handle_invalid_tool_request=handle)

    assert seen == [
        ("Cannot find tool with name nobody.", '{"a":1}', "nobody", {"a": 1}, type(None)),
        (
            "Failed to parse arguments for tool add: a: expected integer, got 'many'",
            *('{"a":"many"}', "add", {"a": "many"}, lms.LMStudioValueError),
        ),
        (
            "Unhandled Python exception: FileNotFoundError('/x')",
            *('{"path":"/x"}', "fail", {"path": "/x"}, FileNotFoundError),
        ),
    ]


def test_one_of_a_call_that_cannot_be_read_has_the_text_and_the_name(server, half, tools):
    server.reply(tool_calls=[{**call("add", a=1), "failure": "Torn."}])
    failed, handled = [], []

    with pytest.raises(lms.LMStudioPredictionError, match=r"Torn\.") as caught:
        act(
            half,
            "Go.",
            [tools.add],
            on_tool_call_request_failure=lambda n, error, i: failed.append(error),
            handle_invalid_tool_request=lambda error, request: handled.append((error, request)),
        )

    assert known(caught.value) == ('{"a":1}', "add", None)
    assert caught.value.server_error.title == "Torn."
    assert handled == [(failed[0], None)]
    assert known(failed[0]) == ('{"a":1}', "add", None)


def test_respond_tells_them_too(server, half):
    server.reply("Hm.", tool_calls=[{**call("add", a=1), "failure": "Torn."}])
    failed = []

    half.do(
        lambda: half.model.respond(
            "Go.", on_tool_call_request_failure=lambda n, error: failed.append(error)
        )
    )

    assert known(failed[0]) == ('{"a":1}', "add", None)


@pytest.mark.parametrize("raw", [{}, {"rawContent": None}, {"rawContent": 5}])
def test_what_the_server_does_not_tell_is_none(held, model, raw):
    failed = []
    worker = Worker(
        lambda: model.respond("Go.", on_tool_call_request_failure=lambda n, e: failed.append(e))
    )
    prediction = held.expect("predict")
    prediction.packet({"type": "toolCallGenerationFailed", "error": {"title": "Torn."}, **raw})
    prediction.success()
    worker.result()

    assert known(failed[0]) == (None, None, None)


@pytest.mark.parametrize("told", ["Torn \ud83d", {"title": "Torn \ud83d"}])
def test_what_the_server_says_of_it_is_told_whatever_it_is(held, model, told):
    failed = []
    worker = Worker(
        lambda: model.respond("Go.", on_tool_call_request_failure=lambda n, e: failed.append(e))
    )
    prediction = held.expect("predict")
    prediction.packet({"type": "toolCallGenerationFailed", "error": told})
    prediction.success()
    worker.result()

    assert str(failed[0]) == "Failed to parse tool call request: Torn \ufffd"


def test_what_the_handler_says_instead_is_what_is_raised_without_a_request(server, model, tools):
    server.reply(tool_calls=[{**call("add"), "failure": "Torn."}])

    with pytest.raises(lms.LMStudioPredictionError) as caught:
        model.act("Go.", [tools.add], handle_invalid_tool_request=lambda error, request: "Sorry.")

    assert str(caught.value) == "Sorry."
    assert known(caught.value) == ("{}", "add", None)


@pytest.mark.parametrize("how", [copy.copy, lambda e: pickle.loads(pickle.dumps(e)), "fresh"])
def test_a_copy_of_an_error_knows_the_same(how):
    details = {"title": "Torn."}
    error = lms.LMStudioPredictionError(
        "No", details, raw_content="{", tool_name="add", tool_arguments={"a": 1}
    )
    other = error.fresh() if how == "fresh" else how(error)
    assert other is not error
    assert (str(other), *known(other)) == ("No: Torn.", "{", "add", {"a": 1})
    assert other.server_error == error.server_error
