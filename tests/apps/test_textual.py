"""The program of docs/apps for Textual, headless."""

import asyncio

import pytest
from apps.running import WAYS, drive, program
from helpers import found_by_programs

pytestmark = pytest.mark.apps


@pytest.mark.parametrize("way", WAYS)
def test_the_reply_is_stopped(server, tmp_path, way):
    pytest.importorskip("textual", reason="did not run: Textual is not here")
    drive(server, tmp_path, program("README.md", "from textual"), way)


def test_an_error_is_told_and_the_next_question_is_answered(server, tmp_path, monkeypatch):
    pytest.importorskip("textual", reason="did not run: Textual is not here")
    from textual.widgets import Input, Log

    monkeypatch.setenv(*found_by_programs(server, tmp_path))
    names = {"__name__": "program"}
    exec(program("README.md", "from textual").replace("Ask().run()", ""), names)
    server.reply("one", error_after=0, error="[b]Out of memory")
    server.reply("All is well.\n")

    async def ask_twice():
        app = names["Ask"]()
        async with app.run_test() as pilot:
            await pilot.click(Input)
            await pilot.press(*"Hi", "enter")
            await app.workers.wait_for_complete()
            (told,) = app._notifications
            await pilot.press("enter")
            await app.workers.wait_for_complete()
            return told.message, list(app.query_one(Log).lines)

    told, lines = asyncio.run(asyncio.wait_for(ask_twice(), 20))
    assert "[b]Out of memory" in told
    assert lines[0] == "All is well."
