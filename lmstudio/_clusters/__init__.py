"""Batches whose inputs are answered by the workers of a cluster, each at an LM Studio of its own.

To a `Batch` a worker of Dask is one more host, and so order, retries, patience and the journal are
those of every batch. What is different is how a call gets there: as a task. In the process of the
batch `respond` is the public function; `session` has a session for each worker, whose calls are
begun and ended by `tasks`, in the event loop of Dask's own client. In the process of a worker
`on_worker` asks the LM Studio, and `task_token` tells when nobody wants the answer any more.

Dask is imported where it is needed only. Used by programs. Imports all rooms below.
"""
