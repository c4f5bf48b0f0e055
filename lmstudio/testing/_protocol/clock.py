"""The server's clock: a copy of `time`, whose functions no test replaces that stops the clock.

A server stands in the middle of tests that freeze the time (by freezegun and its kin, which look
for `time.monotonic` in every module): what it delays and waits for takes its time all the same.
"""

import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec

_copy = time
_spec = BuiltinImporter.find_spec("time")
if _spec is not None and _spec.loader is not None:  # else `time` is no part of the interpreter
    _copy = module_from_spec(_spec)
    _spec.loader.exec_module(_copy)

monotonic, perf_counter = _copy.monotonic, _copy.perf_counter
