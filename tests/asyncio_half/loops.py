"""Event loops of tests, and what is waited for in them."""

import asyncio
import gc


def run(main):
    """Run a coroutine function in an event loop that complains of nothing."""
    complaints = []

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        try:
            return await main()
        finally:
            await asyncio.sleep(0)
            gc.collect()

    result = asyncio.run(work())
    gc.collect()
    assert not complaints
    return result


async def ended(call):
    """The server sees the cancel, and ends."""
    await asyncio.to_thread(call.expect_cancel)
    call.success("userStopped", predicted_tokens_count=1)


async def turns(condition, message=lambda: "it never held"):
    """Let other tasks run until something holds; `message` tells what was there instead."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(message())
