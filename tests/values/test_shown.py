"""What errors show of what users gave."""

import asyncio

import pytest

import lmstudio as lms
from lmstudio._api.shown import shown
from lmstudio._values.chat_input import image_part


class Unruly:
    def __repr__(self):
        raise RuntimeError("no")


class Handle:
    async def load(self):
        """Do nothing."""


@pytest.mark.parametrize("value", ["a" * 10**6, ["a" * 10**6], b"a" * 10**6, bytearray(10**6)])
def test_no_value_is_shown_whole(value):
    assert len(shown(value)) < 350


def test_of_bytes_only_the_first_are_shown_and_how_many_there_are():
    assert shown(b"\x89PNG") == r"b'\x89PNG'"
    assert shown(b"ab" * 50_000) == "b'abababababababab'... (100,000 bytes)"


def test_a_coroutine_is_shown_as_a_missing_await():
    coroutine = Handle().load()

    assert shown(coroutine) == "a coroutine (write 'await' before Handle.load())"
    coroutine.close()


def test_a_task_is_shown_as_a_missing_await():
    async def main():
        task = asyncio.ensure_future(asyncio.sleep(0))
        text = shown(task)
        await task
        return text

    assert asyncio.run(main()).endswith("(write 'await' before it)")


def test_a_value_that_cannot_be_shown_does_not_hide_the_error():
    assert shown(Unruly()) == "<Unruly, whose repr() raised RuntimeError>"


@pytest.mark.parametrize("image", [b"\x89PNG" * 100_000, {"data": b"\x89PNG" * 100_000}])
def test_the_error_of_an_image_that_was_not_uploaded_does_not_repeat_it(image):
    with pytest.raises(lms.LMStudioValueError, match=r"client\.prepare_image\(image\)") as caught:
        lms.Chat().add_user_message("What is this?", images=[image])
    assert len(str(caught.value)) < 600


def test_the_path_of_an_image_is_told_how_to_be_uploaded():
    with pytest.raises(lms.LMStudioValueError, match=r"client\.prepare_image\('cat.png'\) uploads"):
        image_part("cat.png")
