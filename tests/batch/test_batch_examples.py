"""The example programs for batches: the plain one, and the one over a Dask cluster."""

import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Worker, eventually, needs_signals

import lmstudio as lms

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT = 30.0  # seconds


def start_plain(server, folder):
    (folder / "lines.txt").write_text("".join(f"line {number}\n" for number in range(20)))
    return subprocess.Popen(
        [sys.executable, EXAMPLES / "batch.py", folder / "lines.txt", "--host", server.host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_plain_example_answers_every_line(server, tmp_path):
    output, errors = start_plain(server, tmp_path).communicate(timeout=LIMIT)
    assert errors == ""
    assert sorted(int(line.split(":")[0]) for line in output.splitlines()) == list(range(1, 21))


@needs_signals
def test_ctrl_c_in_the_plain_example_leaves_what_is_finished(server, tmp_path):
    server.reply("quick", repeat=3)
    server.reply("word " * 10_000, delay=0.001, repeat=20)
    process = start_plain(server, tmp_path)
    lines = [process.stdout.readline() for _ in range(3)]
    eventually(lambda: len(server.predictions) == 7)  # four long ones run
    server.predictions[6].wait_tokens(3)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, output, errors) == (130, "", "Stopped.\n")
    assert all(line.endswith(": quick\n") for line in lines)
    for prediction in server.predictions[3:]:
        prediction.wait_finished()
        assert prediction.stop_reason == "userStopped"


def test_handles_and_chats_travel(client):
    chat = lms.Chat("You are brief.")
    chat.add_user_message("hi")
    model = client.llm.model()
    there = pickle.loads(pickle.dumps((model, chat)))
    assert there[0] == model
    assert list(there[1]) == list(chat)
    assert there[0].respond(there[1]).content


@pytest.mark.cluster
def test_handles_travel_as_dask_ray_and_spark_pickle_them(client):
    cloudpickle = pytest.importorskip("cloudpickle", reason="did not run: no Dask here")
    for model in (client.llm.model(), client.embedding.model()):
        assert pickle.loads(cloudpickle.dumps(model)) == model


@pytest.mark.cluster
def test_errors_of_one_cause_share_nothing_though_dask_changes_how_they_are_copied(server, client):
    pickling = pytest.importorskip("tblib.pickling_support", reason="did not run: no Dask here")
    pickling.install(lms.LMStudioConnectionLostError)  # as Dask does when it is imported
    model = client.llm.model()
    server.hold("predict")
    server.hold("countTokens")
    stream = model.respond_stream("hi")
    stream.start()
    server.expect("predict").fragment("one")
    counting = Worker(model.count_tokens, "hi")
    server.expect("countTokens").connection.drop()

    with pytest.raises(lms.LMStudioConnectionLostError) as lost:
        stream.result()
    assert lost.value.partial.content == "one"
    assert counting.error().partial is None
    assert stream._call.outcome.error.partial is None
    assert str(counting.error()) == str(lost.value)
