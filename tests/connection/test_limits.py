"""The limits that every blocking call takes, and the default of the package."""

import pytest

import lmstudio as lms
from lmstudio._connection.limits import call_limits


@pytest.fixture(autouse=True)
def default_silence():
    before = lms.get_sync_api_timeout()
    yield
    lms.set_sync_api_timeout(before)


def test_the_default_is_a_minute_of_silence():
    assert lms.get_sync_api_timeout() == 60


@pytest.mark.parametrize("seconds", [None, 0, 1.5, 3600])
def test_the_default_can_be_set(seconds):
    lms.set_sync_api_timeout(seconds)

    assert lms.get_sync_api_timeout() == seconds


@pytest.mark.parametrize("wrong", [-1, float("nan"), "60", True])
def test_a_wrong_default_is_refused_and_the_old_one_stays(wrong):
    lms.set_sync_api_timeout(5)

    with pytest.raises(lms.LMStudioValueError, match="timeout"):
        lms.set_sync_api_timeout(wrong)

    assert lms.get_sync_api_timeout() == 5


def test_what_a_method_was_given_stays_what_it_was():
    token = lms.CancelToken()

    limits = call_limits(token, ..., None)

    assert limits == {"cancel_event": token, "timeout": ..., "idle_timeout": None}
