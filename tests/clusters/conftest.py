"""A Dask cluster of three workers, and an embedded LM Studio for each of them."""

import contextlib
import importlib.util
import os
import signal

import pytest
from batch.storms import Echo, Host

from lmstudio._clusters import on_worker
from lmstudio.testing import Server

WORKERS = 3
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="did not run: Dask is not here"
)


@pytest.fixture(scope="module", autouse=True)
def clients_of_workers():
    """Workers in this very process keep their clients; other tests count threads."""
    yield
    while on_worker._clients:
        on_worker._clients.popitem()[1].close()
    on_worker._models.clear()


@pytest.fixture(scope="module")
def local_cluster():
    distributed = pytest.importorskip("distributed", reason="did not run: Dask is not here")
    with distributed.LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def small_cluster():
    """Makes clusters in this very process, with their clients."""
    distributed = pytest.importorskip("distributed", reason="did not run: Dask is not here")

    @contextlib.contextmanager
    def make(workers):
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=False,
                dashboard_address=":0",
                silence_logs=50,
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as dask_client,
        ):
            yield cluster, dask_client

    return make


@pytest.fixture
def dask_client(local_cluster):
    from distributed import Client

    with Client(local_cluster) as dask_client:
        dask_client.wait_for_workers(WORKERS, timeout=30)
        yield dask_client


@pytest.fixture
def studios():
    """Three embedded LM Studios; one that is killed may start again at its port."""
    studios = [Host(engine=Echo(delay=0.005), parallel=4) for _ in range(WORKERS)]
    for studio in studios:
        studio.start()
    yield studios
    for studio in studios:
        studio.kill()


@pytest.fixture
def api_host(studios):
    """Gives each worker an LM Studio of its own: their names are 0, 1 and 2."""
    return one_for_each(studios)


@pytest.fixture
def servers():
    """Three embedded LM Studios that give the replies of a script."""
    with Server() as first, Server() as second, Server() as third:
        yield [first, second, third]


def one_for_each(servers):
    """Return what is given as `api_host`."""
    hosts = [server.host for server in servers]
    return lambda worker: hosts[worker.name]


@pytest.fixture
def kill_worker(dask_client):
    """Kills the process of the worker with a name; Dask's nanny starts another one."""
    pids = dask_client.run(lambda dask_worker: (dask_worker.name, os.getpid()))

    def kill(name):
        (pid,) = [pid for other, pid in pids.values() if other == name]
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    return kill


@pytest.fixture
def no_leaks():
    """Dask keeps threads and sockets."""
