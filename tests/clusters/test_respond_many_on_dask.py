"""Batches over the workers of a Dask cluster, each at an LM Studio of its own."""

import json
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack

import pytest
from batch.storms import Echo, Host, Storm
from clusters.conftest import needs_dask, one_for_each
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._batch import hosts as _hosts

pytestmark = [
    pytest.mark.cluster,
    # asyncio loses sight of what connects while its server is closed.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.2)


def questions(count):
    return [f"Question {number}" for number in range(count)]


def check_answers(outcomes, count):
    """Every input has one outcome, and that is its answer."""
    assert sorted(outcome.index for outcome in outcomes) == list(range(count))
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
        assert outcome.input == f"Question {outcome.index}"
        assert outcome.result.content == f"to {outcome.input}"


def asked(server):
    """How many predictions a server was asked for."""
    return len(server.predictions)


def long_replies(servers, count=20):
    for server in servers:
        server.reply("word " * 100_000, delay=0.001, repeat=count)


def all_stopped(servers):
    for server in servers:
        for prediction in server.predictions:
            prediction.wait_finished()
            assert prediction.stop_reason == "userStopped"


def each_has_one_first(servers, batch):
    """All outcomes of a batch that begins once each server was asked for something."""
    for server in servers:
        server.hold("predict")
    worker = Worker(list, batch)
    calls = [server.expect("predict", timeout=30) for server in servers]
    for server, call in zip(servers, calls, strict=True):
        server.release("predict")
        call.proceed()
    return worker.result(30)


def studio_of(outcome):
    return outcome.host.partition(" of ")[0]


# -- what it gives ------------------------------------------------------------------------------


def test_each_worker_asks_its_own_lm_studio(dask_client, studios, api_host):
    servers = [studio.server for studio in studios]
    batch = lms.respond_many_on_dask(dask_client, questions(60), api_host=api_host)
    outcomes = each_has_one_first(servers, batch)
    check_answers(outcomes, 60)
    assert {studio_of(outcome) for outcome in outcomes} == {server.host for server in servers}
    workers = set(dask_client.nthreads())
    assert {outcome.host.partition(" of ")[2] for outcome in outcomes} == workers
    assert sum(asked(server) for server in servers) == 60
    assert batch.numbers.done == 60


def test_outcomes_come_in_order_where_that_is_asked_for(dask_client, studios, api_host):
    batch = lms.respond_many_on_dask(
        dask_client, iter(questions(40)), api_host=api_host, max_parallel=2, ordered=True
    )
    assert [outcome.index for outcome in batch] == list(range(40))


def test_replies_are_read_where_the_batch_is(dask_client, server):
    class Label(lms.BaseModel):
        topic: str

    server.reply('{"topic": "weather"}', repeat=3)
    batch = lms.respond_many_on_dask(
        dask_client, questions(3), api_host=server.host, response_format=Label
    )
    assert [outcome.result.typed.topic for outcome in batch] == ["weather"] * 3


def test_no_more_tasks_than_places_are_at_the_cluster(dask_client, studios, api_host):
    batch = lms.respond_many_on_dask(dask_client, questions(200), api_host=api_host, max_parallel=2)
    most = 0
    for outcome in batch:
        if outcome.index % 10 == 0:
            most = max(
                most, dask_client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
            )
    assert 0 < most <= 12  # six places, and as many whose end is under way


def test_workers_find_their_lm_studio_in_the_environment(dask_client, studios):
    hosts = [studio.host for studio in studios]

    def set_host(dask_worker):
        os.environ["LMSTUDIO_HOST"] = hosts[dask_worker.name]

    dask_client.run(set_host)
    batch = lms.respond_many_on_dask(dask_client, questions(30))
    outcomes = each_has_one_first([studio.server for studio in studios], batch)
    dask_client.run(lambda: os.environ.pop("LMSTUDIO_HOST"))
    check_answers(outcomes, 30)
    assert {studio_of(outcome) for outcome in outcomes} == set(hosts)


def test_a_resource_says_which_workers_take_part_and_how_many_run_there(small_cluster, server):
    from distributed import Worker as DaskWorker

    with small_cluster(1) as (cluster, dask_client):
        spec = {"cls": DaskWorker, "options": {"nthreads": 1, "resources": {"LMSTUDIO": 2}}}
        cluster.worker_spec["other"] = spec
        cluster.sync(cluster._correct_state)
        dask_client.wait_for_workers(2, timeout=20)
        server.hold("predict")
        batch = lms.respond_many_on_dask(
            dask_client, questions(4), api_host=server.host, resource="LMSTUDIO"
        )
        worker = Worker(list, batch)
        calls = [server.expect("predict", timeout=30) for _ in range(2)]
        assert asked(server) == 2
        server.release("predict")
        for call in calls:
            call.fragment("fine")
            call.success()
        outcomes = worker.result()
    assert len({outcome.host for outcome in outcomes}) == 1


# -- losses -------------------------------------------------------------------------------------


def test_an_lm_studio_that_is_killed_is_only_its_own_loss(dask_client, studios, api_host):
    outcomes = []
    batch = lms.respond_many_on_dask(
        dask_client, questions(120), api_host=api_host, max_parallel=4, ahead=16, ordered=True
    )
    for outcome in batch:
        outcomes.append(outcome)
        if len(outcomes) == 30:  # none was begun from number 60 on
            studios[1].kill()
    assert [outcome.index for outcome in outcomes] == list(range(120))
    check_answers(outcomes, 120)
    late = {studio_of(outcome) for outcome in outcomes[60:]}
    assert late == {studios[0].host, studios[2].host}


def test_what_a_killed_worker_had_goes_to_others_and_the_next_one_takes_its_place(
    dask_client, studios, api_host, kill_worker
):
    server = studios[1].server
    before = set(dask_client.nthreads())
    outcomes = []
    is_back = False

    def inputs():
        number = 0
        while not is_back:  # endless, unless it comes back
            yield f"Question {number}"
            number += 1

    server.hold("predict")
    for outcome in lms.respond_many_on_dask(
        dask_client, inputs(), api_host=api_host, max_parallel=2
    ):
        outcomes.append(outcome)
        if len(outcomes) == 10:
            calls = [server.expect("predict", timeout=30) for _ in range(2)]
            assert len(calls) == 2
            kill_worker(1)
            server.release("predict")
        is_back |= outcome.host.partition(" of ")[2] not in before
    check_answers(outcomes, len(outcomes))
    assert max(outcome.attempts for outcome in outcomes) == 2


def test_a_storm_over_workers_and_lm_studios_loses_nothing_and_doubles_nothing(
    dask_client, kill_worker, tmp_path
):
    journal = tmp_path / "journal.jsonl"
    outcomes = []
    with ExitStack() as stack:
        studios = [
            stack.enter_context(Host(engine=Echo(seed, faults=0.03, delay=0.005)))
            for seed in range(3)
        ]
        batch = lms.respond_many_on_dask(
            dask_client,
            iter(questions(300)),
            api_host=one_for_each(studios),
            max_parallel=4,
            ordered=True,
            retries=20,
            journal=journal,
        )
        stack.enter_context(Storm(studios[:2], pause=0.3))
        for outcome in batch:
            outcomes.append(outcome)
            if len(outcomes) in (60, 160):
                kill_worker(len(outcomes) // 100)
    assert [outcome.index for outcome in outcomes] == list(range(300))
    check_answers(outcomes, 300)
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(300))


def test_a_worker_that_cannot_ask_leaves_and_the_last_one_ends_the_batch(dask_client, server):
    host = server.host

    def some_fail(worker):
        if worker.name != 1:
            raise KeyError(f"no LM Studio for {worker.name}")
        return host

    outcomes = list(lms.respond_many_on_dask(dask_client, questions(20), api_host=some_fail))
    assert len({outcome.host for outcome in outcomes}) == 1

    def fail(worker):
        raise KeyError(f"no LM Studio for {worker.name}")

    batch = lms.respond_many_on_dask(dask_client, questions(20), api_host=fail)
    with pytest.raises(lms.LMStudioRuntimeError, match="cannot ask an LM Studio: KeyError"):
        list(batch)
    assert list(batch.unfinished()) == questions(20)


def test_without_a_worker_it_waits_as_long_as_its_patience_lasts(small_cluster, server):
    with small_cluster(0) as (cluster, dask_client):
        batch = lms.respond_many_on_dask(
            dask_client, questions(5), api_host=server.host, patience=0, max_parallel=2
        )
        with pytest.raises(lms.LMStudioWebsocketError, match="no Dask worker"):
            list(batch)
        assert list(batch.unfinished()) == questions(5)

        worker = Worker(
            list,
            lms.respond_many_on_dask(dask_client, questions(5), api_host=server.host),
        )
        cluster.scale(1)
        assert len(worker.result(30)) == 5


def test_workers_that_join_take_part(small_cluster, server):
    with small_cluster(1) as (cluster, dask_client):
        hosts = set()

        def inputs():
            while len(hosts) < 2:  # endless, unless another one answers
                yield "Question"

        for outcome in lms.respond_many_on_dask(dask_client, inputs(), api_host=server.host):
            assert outcome.error is None
            if not hosts:
                cluster.scale(2)
            hosts.add(outcome.host)


def test_a_worker_that_joins_after_one_has_left_takes_part(small_cluster, server):
    host = server.host

    def fails_at_first(worker):
        if worker.name == 0:
            raise KeyError("no LM Studio")
        return host

    hosts, joined = set(), []
    with small_cluster(2) as (cluster, dask_client):

        def inputs():
            while len(hosts) < 2:  # endless, unless another one answers
                yield "Question"

        batch = lms.respond_many_on_dask(
            dask_client, inputs(), api_host=fails_at_first, max_parallel=1
        )
        for outcome in batch:
            hosts.add(outcome.host)
            if not joined and any(host.left is not None for host in batch._hosts):
                joined.append(cluster.new_worker_spec().popitem()[1])
                del cluster.worker_spec[0]
                cluster.worker_spec[7] = joined[0]
                cluster.sync(cluster._correct_state)


def test_a_worker_that_takes_the_place_of_none_has_the_places_of_its_resource(
    small_cluster, server
):
    from distributed import Worker as DaskWorker

    with small_cluster(0) as (cluster, dask_client):
        server.hold("predict")
        batch = lms.respond_many_on_dask(
            dask_client, questions(4), api_host=server.host, resource="LMSTUDIO"
        )
        worker = Worker(list, batch)
        spec = {"cls": DaskWorker, "options": {"nthreads": 1, "resources": {"LMSTUDIO": 2}}}
        cluster.worker_spec["late"] = spec
        cluster.sync(cluster._correct_state)
        calls = [server.expect("predict", timeout=30) for _ in range(2)]
        (host,) = batch._hosts
        assert host.places == 2
        server.release("predict")
        for call in calls:
            call.success()
        assert len(worker.result(30)) == 4


def test_a_model_that_was_unloaded_between_two_batches_is_loaded_again(small_cluster, server):
    options = {"api_host": server.host, "model": "test-llm", "max_parallel": 1}
    with small_cluster(1) as (_, dask_client):
        for _ in range(2):
            outcomes = list(lms.respond_many_on_dask(dask_client, questions(3), **options))
            assert [outcome.error for outcome in outcomes] == [None] * 3
            server.unload("test-llm")


def test_a_dask_client_that_is_closed_ends_the_batch(dask_client, studios, api_host):
    batch = lms.respond_many_on_dask(dask_client, questions(500), api_host=api_host)
    finished = 0
    with pytest.raises(lms.LMStudioClientError, match="client was closed"):
        for _ in batch:
            finished += 1
            if finished == 20:
                dask_client.close()
    assert len(list(batch.unfinished())) == 500 - finished
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        lms.respond_many_on_dask(dask_client, questions(1), api_host=api_host)


# -- stopping it --------------------------------------------------------------------------------


def test_one_event_stops_everything_everywhere(dask_client, servers):
    from distributed import Event

    long_replies(servers)
    stop = Event("stop the batch", client=dask_client)
    batch = lms.respond_many_on_dask(
        dask_client,
        questions(20),
        api_host=one_for_each(servers),
        max_parallel=2,
        cancel_event=stop,
    )
    worker = Worker(list, batch)
    for server in servers:
        server.wait_prediction(timeout=30).wait_tokens(2)
    Event("stop the batch", client=dask_client).set()  # as another program of the cluster would
    outcomes = worker.result()
    assert all(outcome.cancelled for outcome in outcomes)
    all_stopped(servers)
    assert sum(asked(server) for server in servers) <= 6
    assert batch.cancelled()
    assert sorted(batch.unfinished()) == sorted(questions(20))
    stop.clear()


def test_leaving_the_loop_stops_what_runs(dask_client, servers):
    servers[0].reply("quick")
    servers[0].reply("word " * 100_000, delay=0.001, repeat=20)
    long_replies(servers[1:])
    batch = lms.respond_many_on_dask(
        dask_client, questions(20), api_host=one_for_each(servers), max_parallel=1
    )
    for outcome in batch:
        assert outcome.result.content == "quick"
        for server in servers[1:]:
            server.wait_prediction(timeout=30).wait_tokens(2)
        break
    all_stopped(servers[1:])


def test_dropping_the_batch_stops_what_runs(dask_client, servers):
    servers[0].reply("quick")
    servers[0].reply("word " * 100_000, delay=0.001, repeat=20)
    long_replies(servers[1:])
    batch = lms.respond_many_on_dask(
        dask_client, questions(20), api_host=one_for_each(servers), max_parallel=1
    )
    next(batch)
    for server in servers[1:]:
        server.wait_prediction(timeout=30).wait_tokens(2)
    del batch
    all_stopped(servers[1:])


PROGRAM = """
import sys
import lmstudio as lms
from distributed import Client
scheduler, journal, api_host = sys.argv[1:]
with Client(scheduler) as dask_client:
    inputs = [f"Question {number}" for number in range(60)]
    for outcome in lms.respond_many_on_dask(
        dask_client, inputs, api_host=api_host, max_parallel=2, journal=journal
    ):
        print(outcome.index, flush=True)
"""


def test_a_killed_program_stops_its_models_and_the_next_one_goes_on(dask_client, server, tmp_path):
    for number in range(10):
        server.reply(f"reply {number}")
    server.reply("word " * 100_000, delay=0.001, repeat=6)
    journal = tmp_path / "journal.jsonl"
    command = [sys.executable, "-c", PROGRAM, dask_client.scheduler.address, journal, server.host]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = [process.stdout.readline() for _ in range(10)]
    eventually(lambda: asked(server) == 16, 30)
    process.kill()
    process.communicate(timeout=30)
    assert len(set(first)) == 10
    for prediction in server.predictions[10:16]:
        prediction.wait_finished()
        assert prediction.stop_reason == "userStopped"

    # The very same journal is that of every batch.
    with lms.Client(server.host) as client:
        batch = client.llm.model().respond_many(questions(60), journal=journal)
        for _ in range(30):
            next(batch)
        batch.cancel()
        list(batch)
    assert batch.numbers.recorded == 10
    batch = lms.respond_many_on_dask(
        dask_client, questions(60), api_host=server.host, journal=journal, ordered=True
    )
    outcomes = list(batch)
    assert [outcome.index for outcome in outcomes] == list(range(60))
    assert all(outcome.error is None for outcome in outcomes)
    assert batch.numbers.recorded >= 30  # those that had just ended, too
    replies = [outcome.result.content for outcome in outcomes]
    assert sorted(reply for reply in replies if reply.startswith("reply")) == [
        f"reply {number}" for number in range(10)
    ]


# -- what it is given ---------------------------------------------------------------------------


@needs_dask
def test_what_is_no_dask_client_is_refused(client):
    with pytest.raises(lms.LMStudioValueError, match=r"must be a distributed\.Client"):
        lms.respond_many_on_dask(client, ["hi"])


def test_wrong_arguments_are_told_before_anything_runs(dask_client):
    for wrong in (
        {"api_host": 1234},
        {"api_host": lambda: "localhost"},
        {"resource": 4},
        {"model": 4},
        {"max_parallel": 0},
        {"timeout": -1},
        {"retries": -1},
    ):
        with pytest.raises(lms.LMStudioValueError, match=next(iter(wrong))):
            lms.respond_many_on_dask(dask_client, ["hi"], **wrong)


def test_a_chat_with_files_is_an_error_of_its_own_input(dask_client, server, client):
    image = client.files.prepare_image(b"\x89PNG\r\n\x1a\n" + bytes(20), "image.png")
    chat = lms.Chat()
    chat.add_user_message("What is this?", images=[image])
    batch = lms.respond_many_on_dask(dask_client, [chat, "hi"], api_host=server.host, ordered=True)
    first, second = list(batch)
    assert isinstance(first.error, lms.LMStudioValueError)
    assert "files" in str(first.error)
    assert second.error is None


def test_a_batch_over_a_cluster_cannot_be_pickled(dask_client, studios, api_host):
    batch = lms.respond_many_on_dask(dask_client, ["hi"], api_host=api_host)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(batch)


def test_without_dask_it_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "distributed"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(lms.LMStudioRuntimeError, match="pip install"):
        lms.respond_many_on_dask(None, ["hi"])
    with pytest.raises(lms.LMStudioRuntimeError, match="runs no task of Dask"):
        lms.dask_cancel_token()
