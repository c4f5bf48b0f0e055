"""What rings an event loop, and how often."""

import asyncio
import gc
import threading
import weakref

import pytest

from lmstudio._asyncio.inbox import LoopInbox
from lmstudio._concurrency.deadline import Deadline


class Rings:
    """Counts how often a loop is rung; raises what it is told to, once."""

    def __init__(self, loop, monkeypatch, error=None):
        self.count, self.error = 0, error
        self._ring = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", self)

    def __call__(self, *arguments):
        self.count += 1
        error, self.error = self.error, None
        if error is not None:
            raise error
        return self._ring(*arguments)


def in_thread(function):
    """Have a thread do it while the loop stands still."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_loop_is_rung_once_for_all_that_came_before_it_looked(monkeypatch):
    async def main():
        rings = Rings(asyncio.get_running_loop(), monkeypatch)
        inboxes = [LoopInbox(asyncio.get_running_loop()) for _ in range(3)]
        waiting = [asyncio.ensure_future(inbox.wait()) for inbox in inboxes]
        await asyncio.sleep(0)
        in_thread(lambda: [inbox.put(number) for number in (1, 2) for inbox in inboxes])
        assert await asyncio.gather(*waiting) == [True] * 3
        assert rings.count == 1
        assert [[inbox.take(), inbox.take()] for inbox in inboxes] == [[1, 2]] * 3
        in_thread(lambda: inboxes[0].put(3))  # it has looked: it is rung anew
        assert await inboxes[0].wait()
        return rings.count

    assert asyncio.run(main()) == 2


def test_after_ctrl_c_while_ringing_the_next_item_rings(monkeypatch):
    async def main():
        rings = Rings(asyncio.get_running_loop(), monkeypatch, KeyboardInterrupt())
        first, second = (LoopInbox(asyncio.get_running_loop()) for _ in range(2))
        with pytest.raises(KeyboardInterrupt):
            first.put(1)
        waiting = [asyncio.ensure_future(inbox.wait(Deadline(5.0))) for inbox in (first, second)]
        in_thread(lambda: second.put(2))
        assert await asyncio.gather(*waiting) == [True, True]
        return rings.count, first.take(), second.take()

    assert asyncio.run(main()) == (2, 1, 2)


def test_a_closed_loop_is_not_rung_and_not_kept():
    async def main():
        return LoopInbox(asyncio.get_running_loop()), LoopInbox(asyncio.get_running_loop())

    loop = asyncio.new_event_loop()
    rung, other = loop.run_until_complete(main())
    rung.put(1)  # the loop is closed before it looks
    loop.close()
    for inbox in (rung, other):
        inbox.put(2)
    reference = weakref.ref(loop)
    del loop, rung, other, inbox
    gc.collect()
    assert reference() is None


def test_each_loop_of_a_thread_is_rung_for_itself():
    async def main():
        inbox = LoopInbox(asyncio.get_running_loop())
        in_thread(lambda: inbox.put(1))
        return await inbox.wait(Deadline(5.0)) and inbox.take()

    assert [asyncio.run(main()) for _ in range(2)] == [1, 1]
