"""`BatchNumbers`: how far a batch is, and how long it will take."""

import pytest

import lmstudio as lms


def test_without_a_total_nobody_can_say_how_long_it_will_take():
    numbers = lms.BatchNumbers(done=3, seconds=1.0)
    assert numbers.seconds_left is None
    assert str(numbers) == "3, 3.0/s"


def test_before_the_first_outcome_nobody_can_say_either():
    numbers = lms.BatchNumbers(total=5, seconds=1.0)
    assert numbers.seconds_left is None
    assert str(numbers) == "0 of 5"


@pytest.mark.parametrize(
    ("total", "left"), [(11, "10 s left"), (121, "2.0 min left"), (7201, "2.0 h left")]
)
def test_the_time_that_is_left_is_told_in_seconds_minutes_or_hours(total, left):
    assert str(lms.BatchNumbers(total=total, done=1, seconds=1.0)).endswith(left)


def test_what_the_journal_had_counts_for_no_speed():
    numbers = lms.BatchNumbers(total=10, done=6, recorded=4, seconds=2.0, predicted_tokens=20)
    assert numbers.items_per_second == 1.0
    assert numbers.seconds_left == 4.0
    assert str(numbers) == "6 of 10, 20 tokens, 10 tokens/s, 1.0/s, 4 s left"
