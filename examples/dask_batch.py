"""A batch over a Dask cluster and several LM Studios, stopped everywhere by one event.

    dask_batch.py HOST [HOST ...]

Handles travel to the workers by themselves: as host and model name, never with a token.
"""

import argparse
from collections.abc import Iterator

from distributed import Client, Event, LocalCluster, as_completed

import lmstudio as lms

STOP = "stop the batch"  # the name of the event, the same on all machines


def ask(models: list[lms.LLM], number: int, question: str) -> tuple[str, str]:
    """Run on a worker: ask one of the models, and the next one if its host is gone."""
    stop = Event(STOP)
    for turn in range(len(models)):
        model = models[(number + turn) % len(models)]
        try:
            result = model.respond(question, cancel_event=stop)
        except lms.LMStudioWebsocketError:
            if turn == len(models) - 1:
                raise
        else:
            return str(model._host), "" if result.cancelled else result.content
    raise ValueError("no models")


def run(
    cluster: Client, models: list[lms.LLM], questions: list[str]
) -> Iterator[tuple[int, str, str]]:
    """Yield number, host and answer of each question as they finish; an empty one was stopped."""
    futures = {
        cluster.submit(ask, models, number, question, pure=False): number
        for number, question in enumerate(questions)
    }
    for future in as_completed(futures):
        host, answer = future.result()
        yield futures[future], host, answer


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="host:port of an LM Studio")
    models = [lms.Client(host).llm.model() for host in parser.parse_args().hosts]
    questions = [f"Say in one word what {number} times {number} is." for number in range(100)]
    with LocalCluster(n_workers=2, threads_per_worker=4) as local, Client(local) as cluster:
        stop = Event(STOP)
        try:
            for number, host, answer in run(cluster, models, questions):
                print(f"{number} by {host}: {answer or '(stopped)'}", flush=True)
        except KeyboardInterrupt:
            stop.set()  # whatever runs on whichever machine ends now
            raise


if __name__ == "__main__":
    main()
