"""How long an event loop is held while something goes on, and while nothing does."""

import asyncio
from time import perf_counter

TICK = 0.001  # seconds that the loop's ticker sleeps


async def holds_of(function, count):
    """Milliseconds that the loop was held at most: in each of so many, and idle for as long."""
    busy, idle, times = [], [], []
    for _ in range(count):
        began = perf_counter()
        busy.append(await longest_hold(function()))
        times.append(perf_counter() - began)
        idle.append(await longest_hold(asyncio.sleep(times[-1])))
    return {"busy": busy, "idle": idle, "wall": sum(times) / count * 1000}


async def longest_hold(awaitable):
    """Await it, beside a task that sleeps for a millisecond at a time."""
    worst = 0.0

    async def tick():
        nonlocal worst
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = perf_counter()
            worst = max(worst, now - last - TICK)
            last = now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await awaitable
    ticker.cancel()
    await asyncio.wait([ticker])
    return worst * 1000
