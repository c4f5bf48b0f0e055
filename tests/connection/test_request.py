"""What an answer means, and answers that mean nothing."""

import pytest

import lmstudio as lms
from lmstudio._connection.endpoints import rpc
from lmstudio._connection.request import Request

COUNT = rpc("llm", "countTokens", "Counting tokens")


def test_the_answer_is_read_by_the_request():
    request = Request(COUNT, None, lambda answer: answer["tokenCount"] + 1)

    assert request.result({"tokenCount": 4}) == 5


@pytest.mark.parametrize("answer", [None, {}, [], "tokenCount", {"tokenCount": "many"}, 3])
def test_an_answer_of_the_wrong_shape_is_an_error_that_names_the_endpoint(answer):
    request = Request(COUNT, None, lambda answer: int(answer["tokenCount"]))

    with pytest.raises(lms.LMStudioProtocolError, match="answer to countTokens is malformed") as e:
        request.result(answer)
    assert e.value.__context__ is None  # what the reader stumbled over is no business of a user


def test_what_a_reader_says_itself_is_kept():
    def read(answer):
        raise lms.LMStudioModelNotFoundError("there is none")

    with pytest.raises(lms.LMStudioModelNotFoundError, match="there is none"):
        Request(COUNT, None, read).result({})
