"""What LM Studio says of an error: read from the wire, shown, and made into a dict again."""

import lmstudio as lms

SAID = {
    "title": "It failed",
    "cause": "No memory",
    "suggestion": "Unload one",
    "errorData": {"a": 1},
}


def test_what_the_server_said_comes_back_as_a_dict_without_what_it_left_out():
    said = lms.SerializedLMSExtendedError.from_dict({**SAID, "unknownKey": 1})
    assert said.error_data == {"a": 1}
    assert said.to_dict() == SAID


def test_all_that_the_server_said_is_shown():
    error = lms.LMStudioServerError("Model error", SAID)
    assert str(error).splitlines() == [
        "Model error: It failed",
        "  Cause: No memory",
        "  Suggestion: Unload one",
        '  Error data: {"a": 1}',
    ]


def test_data_that_json_cannot_show_does_not_hide_the_error():
    circle = {}
    circle["itself"] = circle
    error = lms.LMStudioServerError("Model error", {**SAID, "errorData": circle})
    assert str(error).endswith("Error data: (cannot be shown)")
