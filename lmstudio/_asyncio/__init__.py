"""The asyncio half: the same calls, waited for by tasks of an event loop.

What is asked for, what an answer means and what was read of a prediction is shared; here is how a
task waits. By hand: `inbox` (what the I/O thread rings a loop by), `events` (what cancels),
`session` (waits for calls), `stream`, `files` and `tool_runs`. All other files are made out of
those of the same name in `_handles`, `_agent`, `_batch` and `_client`, by
tests/api/make_asyncio.py.
Imports all rooms above it but `_client`.
"""
