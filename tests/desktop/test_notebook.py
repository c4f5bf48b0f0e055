"""The example notebook and the cell of docs/asyncio.md run in a real kernel; both are stopped."""

import os
import re
import signal
import threading
from pathlib import Path

import pytest
from helpers import eventually

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
PAGE = ROOT / "docs" / "asyncio.md"
WORDS = [f"word{number} " for number in range(5000)]


@pytest.fixture(autouse=True)
def no_leaks():
    """The kernel's client keeps its sockets until the process ends."""


@pytest.mark.gui
def test_the_notebook_runs_and_an_interrupt_of_the_kernel_keeps_the_partial_reply(
    server, monkeypatch, tmp_path
):
    nbclient = pytest.importorskip("nbclient", reason="did not run: nbclient is not here")
    pytest.importorskip("ipykernel", reason="did not run: ipykernel is not here")
    import nbformat

    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(tmp_path / "http-server.json"))
    (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    server.reply("Hello!")
    server.reply(WORDS, delay=0.005)
    server.reply("It was *dark*.")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    client = nbclient.NotebookClient(notebook, timeout=40, kernel_name="python3")

    def interrupt(cell):
        eventually(lambda: rendered(cell).startswith("word0 word1 "))
        os.kill(client.km.provisioner.pid, signal.SIGINT)  # as the square button does

    with client.setup_kernel(cwd=os.fspath(tmp_path)):
        for index, cell in enumerate(notebook.cells):
            if "interrupt" not in cell.metadata.get("tags", ()):
                client.execute_cell(cell, index)
                continue
            thread = threading.Thread(target=interrupt, args=[cell])
            thread.start()
            with pytest.raises(nbclient.exceptions.CellExecutionError, match="KeyboardInterrupt"):
                client.execute_cell(cell, index)
            thread.join(10)

    texts = [rendered(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert texts[1] == "Hello!"
    assert texts[2].startswith("word0 word1 ")
    assert "*(running" in texts[2]  # the last update before the interrupt
    assert texts[3].startswith("word0 word1 ")
    # It came in the wait for a fragment, or in drawing one: then the loop let go of the stream,
    # which the client's thread noticed, or else the next cell.
    dropped = ("the stream was dropped before its end", "the loop over the stream was left")
    reasons = ("interrupted", *dropped)
    assert texts[3].endswith(tuple(f"*(stopped: {reason})*" for reason in reasons))
    assert texts[4] == "It was *dark*."
    story = server.predictions[1].wait_finished()
    assert story.stop_reason == "userStopped"
    assert story.tokens_sent < len(WORDS)


def rendered(cell):
    """The Markdown that a cell shows."""
    texts = [output["data"]["text/markdown"] for output in cell.outputs if "data" in output]
    return "".join("".join(text) for text in texts)


@pytest.mark.gui
def test_the_stop_button_stops_the_model_that_a_cell_awaits(server, monkeypatch, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="did not run: nbclient is not here")
    pytest.importorskip("ipykernel", reason="did not run: ipykernel is not here")
    import nbformat

    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(tmp_path / "http-server.json"))
    (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    server.reply(WORDS, delay=0.005)
    (cell,) = re.findall(r"^```text\n(client = .*?)^```", PAGE.read_text(), re.M | re.S)
    texts = ("import lmstudio as lms", cell, "print(stream.result().stats.stop_reason)")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])
    client = nbclient.NotebookClient(notebook, timeout=40, kernel_name="python3")

    def interrupt():
        server.wait_prediction(0).wait_tokens(20)
        os.kill(client.km.provisioner.pid, signal.SIGINT)

    with client.setup_kernel(cwd=os.fspath(tmp_path)):
        client.execute_cell(notebook.cells[0], 0)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(nbclient.exceptions.CellExecutionError):
            client.execute_cell(notebook.cells[1], 1)
        thread.join(10)
        assert server.predictions[0].wait_finished().stop_reason == "userStopped"
        client.execute_cell(notebook.cells[2], 2)

    assert notebook.cells[2].outputs[0]["text"] == "userStopped\n"
