"""`python -m lmstudio batch` that is stopped, killed, or left by its hosts, and goes on."""

import json
import re
import signal
import subprocess

import pytest
from batch.storms import Echo, Host
from cli.batch_command import LIMIT, Files
from helpers import eventually, free_port, needs_signals

from lmstudio.testing import Model, Server

GOES_ON = "Run the same command again to continue.\n"


@pytest.fixture(params=["jsonl", "csv"])
def files(tmp_path, server, request):
    return Files(tmp_path, [server.host], form=request.param)


@pytest.fixture
def lines(tmp_path, server):
    return Files(tmp_path, [server.host])


@pytest.mark.parametrize("end", [pytest.param("Ctrl-C", marks=needs_signals), "kill"])
def test_ctrl_c_and_kill_lose_nothing_finished_and_write_nothing_twice(files, server, end):
    server.reply("quick", repeat=5)
    server.reply("word " * 100_000, delay=0.001, repeat=2)
    process = files.start("--parallel", 2)
    eventually(lambda: files.has_records(5), LIMIT)
    server.wait_prediction(6, timeout=LIMIT).wait_tokens(1)
    if end == "kill":
        process.kill()
    else:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    if end == "Ctrl-C":
        assert process.returncode == 130
        assert errors.startswith("12 rows: 5 answered, 0 failed, 7 to do. ")
        assert errors.endswith(f"Stopped. {GOES_ON}")
        assert files.numbers() == [1, 2, 3, 4, 5]
    assert len(files.records()) == 5
    for prediction in server.predictions[5:]:
        prediction.wait_finished()
    assert files.run().startswith("12 rows: 12 answered (5 in earlier runs), 0 failed. ")
    assert files.numbers() == list(range(1, 13))
    assert len(files.records()) == 12


def test_a_kill_at_any_byte_of_either_file_loses_nothing(files, server):
    files.run()
    journal, output = files.journal.read_bytes(), files.output.read_bytes()
    last = journal.rstrip(b"\n").rindex(b"\n") + 1
    asked = len(server.predictions)
    for cut in (last + 1, last + 40, len(journal) - 1):
        files.journal.write_bytes(journal[:cut])
        files.output.write_bytes(output[: cut - last])
        said = files.run()
        asked += cut < len(journal) - 1  # without its end the line is whole
        assert len(server.predictions) == asked
        assert said.startswith("12 rows: 12 answered (1")
        assert files.output.read_bytes() == output


@needs_signals
def test_a_second_ctrl_c_ends_it_at_once(lines, server):
    server.reply("word " * 100_000, delay=0.001, slow_stop=LIMIT)
    process = lines.start("--parallel", 1)
    server.wait_prediction(0, timeout=LIMIT).wait_tokens(1)
    process.send_signal(signal.SIGINT)
    eventually(lambda: server.predictions[0].cancelled_after is not None, LIMIT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "Traceback" not in errors


@needs_signals
@pytest.mark.parametrize("end", ["Ctrl-C", "time limit"])
def test_a_stop_does_not_wait_for_the_next_row_of_a_pipe(lines, server, end):
    server.reply("word " * 100_000, delay=0.001)
    options = ["--parallel", 2] + ["--time-limit", 5] * (end == "time limit")
    process = lines.start(*options, input="-", stdin=subprocess.PIPE)
    process.stdin.write('{"nr": 1, "prompt": "a"}\n')
    process.stdin.flush()
    server.wait_prediction(0, timeout=LIMIT).wait_tokens(1)
    if end == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    errors = process.stderr.read()
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(LIMIT) == (130 if end == "Ctrl-C" else 124), errors
    words = "Stopped" if end == "Ctrl-C" else "The time limit has passed"
    assert re.fullmatch(rf"0 rows: 0 answered, 0 failed\. [\d.]+ s\.\n{words}\. {GOES_ON}", errors)
    server.predictions[0].wait_finished()
    assert not lines.records()


def test_a_time_limit_is_for_all_of_it(lines, server):
    server.reply("quick", repeat=3)
    server.reply("never", silent_after=0)
    said = lines.run("--parallel", 1, "--time-limit", 5, code=124)
    assert said.startswith("12 rows: 3 answered, 0 failed, 9 to do. ")
    assert said.endswith(f"The time limit has passed. {GOES_ON}")
    assert "12 rows: 12 answered" in lines.run("--time-limit", 30)


def test_a_server_that_goes_ends_it_when_its_patience_is_over(lines, server):
    server.reply("quick", repeat=3)
    server.reply("one two", drop_after=1)
    server.hold("predict")
    process = lines.start("--parallel", 1, "--patience", 0)
    call = server.expect("predict", LIMIT)
    server.wait_for(
        lambda: server.received(endpoint="alive"), timeout=LIMIT
    )  # its second connection
    server.release("predict")
    call.proceed()
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 3
    first, second, _ = said.split("\n", 2)
    assert first.startswith("12 rows: 3 answered, 0 failed, 9 to do. ")
    assert re.match("lmstudio: (The connection to LM Studio broke|LM Studio closed)", second)
    assert said.endswith(GOES_ON)
    assert lines.numbers() == [1, 2, 3]
    lines.run()
    assert lines.numbers() == list(range(1, 13))


def test_a_lost_connection_is_no_outcome(lines, server):
    server.reply("quick", repeat=3)
    server.reply("one two", drop_after=1)
    server.reply("one two", stop_reason="modelUnloaded")
    assert "12 rows: 12 answered, 0 failed, 2 tried again. " in lines.run("--parallel", 1)
    assert lines.numbers() == list(range(1, 13))


def test_several_hosts_share_the_work_and_one_that_dies_gives_its_to_the_other(tmp_path):
    with Host(engine=Echo(delay=0.02)) as first, Host(engine=Echo(delay=0.02)) as second:
        files = Files(tmp_path, [first.host, second.host], count=60)
        process = files.start("--parallel", 2)
        eventually(lambda: len(second.server.predictions) > 5, LIMIT)
        second.kill()
        output, errors = process.communicate(timeout=LIMIT)
        assert (process.returncode, output) == (0, ""), errors
        assert "60 rows: 60 answered, 0 failed" in errors
        assert {record["host"] for record in files.records()} == {first.host, second.host}
        assert files.numbers() == list(range(1, 61))
        assert [row["answer"] for row in files.rows()][58:] == ["to Question 59", "to Question 60"]


def test_a_host_that_goes_is_told_and_waited_for(tmp_path):
    with Host(engine=Echo(delay=0.02)) as host:
        files = Files(tmp_path, [host.host], count=30)
        process = files.start("--parallel", 2)
        eventually(lambda: files.has_records(5), LIMIT)
        host.kill()
        assert process.stderr.readline() == (
            f"lmstudio: {host.host} is gone: the batch waits for it.\n"
        )
        host.start()
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors
        assert "30 rows: 30 answered, 0 failed" in errors
        assert files.numbers() == list(range(1, 31))


def test_a_host_that_is_not_there_is_told_and_left_out(lines):
    away = f"127.0.0.1:{free_port()}"
    lines.hosts = [away, *lines.hosts]
    said = lines.run("--patience", 0)
    assert said.startswith(f"lmstudio: {away} is left out: ")
    assert "12 rows: 12 answered" in said
    lines.hosts = [away, away]
    assert "not reachable" in lines.run("--patience", 0, code=3)


def test_with_no_host_at_the_start_it_says_so_and_waits(tmp_path):
    with Host(engine=Echo()) as host:
        host.kill()
        files = Files(tmp_path, [host.host])
        process = files.start()
        assert process.stderr.readline().startswith(
            f"lmstudio: LM Studio is not reachable at {host.host}: "
        )
        assert process.stderr.readline() == (
            "  The batch waits for it, for up to 300 s (--patience).\n"
        )
        host.start()
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors
        assert errors.startswith("12 rows: 12 answered, 0 failed")


def test_a_host_that_is_down_at_the_start_joins_when_it_comes(tmp_path):
    with Host(engine=Echo(delay=0.05)) as first, Host(engine=Echo(delay=0.05)) as second:
        second.kill()
        files = Files(tmp_path, [first.host, second.host], count=400)
        process = files.start("--parallel", 1)
        assert f"at {second.host}: " in process.stderr.readline()
        assert "The batch begins without it; it joins when it is" in process.stderr.readline()
        eventually(lambda: files.has_records(3), LIMIT)
        second.start()
        assert process.stderr.readline() == (
            f"lmstudio: {second.host} is there now, and joins the batch.\n"
        )
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, errors
        assert "400 rows: 400 answered, 0 failed" in errors
        assert {record["host"] for record in files.records()} == {first.host, second.host}


def test_a_host_that_is_awaited_holds_up_no_end(lines):
    away = f"127.0.0.1:{free_port()}"
    lines.hosts = [*lines.hosts, away]
    said = lines.run()
    assert "12 rows: 12 answered, 0 failed" in said


@needs_signals
def test_ctrl_c_ends_the_wait_for_the_first_host(lines):
    lines.hosts = [f"127.0.0.1:{free_port()}"]
    process = lines.start()
    process.stderr.readline(), process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (130, "")


def test_patience_and_a_time_limit_end_the_wait_for_the_first_host(lines, server):
    lines.hosts = [f"127.0.0.1:{free_port()}"]
    said = lines.run("--time-limit", 1, code=124)
    assert said.endswith("The time limit has passed. Nothing was asked.\n")
    said = lines.run("--patience", 0.5, code=3)
    assert said.count("is not reachable at") == 2
    assert not lines.journal.exists()


def test_a_model_that_no_host_has_is_not_waited_for(lines):
    assert "There is no language model 'nothing'" in lines.run("--model", "nothing", code=1)


def test_a_batch_that_is_killed_again_and_again_asks_for_each_row_once_more_at_most(tmp_path):
    count, kills = 400, 10
    with Host(engine=Echo()) as host:
        files = Files(tmp_path, [host.host], count=count, form="csv")
        for kill in range(1, kills + 1):
            process = files.start("--parallel", 4)
            eventually(lambda n=kill: files.has_records(35 * n), LIMIT)
            process.kill()
            process.communicate(timeout=LIMIT)
        assert re.match(
            f"{count} rows: {count} answered \\(3\\d+ in earlier runs\\), 0 failed", files.run()
        )
        assert len(host.server.predictions) <= count + kills * 4
    assert [row["answer"] for row in files.rows()] == [
        f"to Question {n}" for n in range(1, count + 1)
    ]
    names = [record["id"] for record in files.records()]
    assert len(set(names)) == len(names) == count


def test_ordered_rows_come_in_their_order(tmp_path, server):
    files = Files(tmp_path, [server.host], count=4)
    server.hold("predict")
    process = files.start("--ordered", "--parallel", 4, output="-")
    calls = [server.expect("predict", timeout=LIMIT) for _ in range(4)]
    for call in reversed(calls):
        call.fragment("a")
        call.success()
    server.release("predict")
    output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, errors
    assert [json.loads(line)["nr"] for line in output.splitlines()] == [1, 2, 3, 4]


def test_an_output_that_cannot_be_written_is_told_before_anything_is_asked(lines, server):
    (lines.folder / "out.jsonl.new").mkdir()
    assert "out.jsonl.new" in lines.run(code=1)
    assert not server.predictions


@pytest.mark.parametrize("endpoint", ["getOrLoad", "getModelInfo"])
def test_a_time_limit_is_for_loading_and_looking_at_the_model_too(tmp_path, endpoint):
    with Server(models=[Model(key="eye", vision=True)], loaded=[]) as server:
        lines = Files(tmp_path, [server.host])
        (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        server.hold(endpoint)
        options = ["--image", tmp_path / "photo.png"] if endpoint == "getModelInfo" else []
        said = lines.run("--model", "eye", "--time-limit", 1, *options, code=124)
        assert said == "The time limit has passed. Nothing was asked.\n"
        if endpoint == "getOrLoad":
            server.expect(endpoint).expect_cancel(LIMIT)
        assert server.predictions == []
