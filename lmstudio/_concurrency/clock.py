"""The one clock of this package, and its one way to rest.

Tests of users' programs replace `time.monotonic` and `time.sleep` in the whole process (freezegun
and its kin look for them in every module). These are functions of a copy of the module that nobody
else has, so nothing of the kind can stop what waits here.
"""

import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec

_copy = time
_spec = BuiltinImporter.find_spec("time")
if _spec is not None and _spec.loader is not None:  # else `time` is no part of the interpreter
    _copy = module_from_spec(_spec)
    _spec.loader.exec_module(_copy)

monotonic, sleep = _copy.monotonic, _copy.sleep
