"""Answer questions by the workers of a Dask cluster, each at an LM Studio of its own.

    dask_batch.py OUT.jsonl HOST [HOST ...]

Here all workers run on this machine, one for each HOST (host:port of an LM Studio). Of a cluster
over many machines give the scheduler's address to `Client`, and leave `api_host` away: then each
worker asks the LM Studio beside it. After Ctrl-C, or a kill, the same command goes on.
"""

import argparse

from distributed import Client, LocalCluster

import lmstudio as lms


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("journal", metavar="OUT.jsonl", help="the answers; they are asked once")
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="host:port of an LM Studio")
    arguments = parser.parse_args()
    hosts, journal = arguments.hosts, arguments.journal
    questions = [f"Say in one word what {number} times {number} is." for number in range(100)]
    with (
        LocalCluster(n_workers=len(hosts), threads_per_worker=1) as cluster,
        Client(cluster) as dask,
    ):
        batch = lms.respond_many_on_dask(
            dask, questions, api_host=lambda worker: hosts[worker.name], journal=journal
        )
        try:
            for outcome in batch:
                print(
                    f"{outcome.index} by {outcome.host}: {outcome.error or outcome.result.content}"
                )
        finally:
            print(batch.numbers)


if __name__ == "__main__":
    main()
