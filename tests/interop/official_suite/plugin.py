"""The pytest plugin with which the official suite runs, in a process of its own.

It prepares the imports, leads clients to the embedded server, leaves out what is out of scope, and
writes down how each test ended. `test_official_suite.py` says how in the variable OFFICIAL_SUITE.
"""

import asyncio
import inspect
import json
import os
import re
import sys
from pathlib import Path

import pytest

SETTINGS = json.loads(os.environ["OFFICIAL_SUITE"])  # package, port, extras, outcomes
sys.path.append(SETTINGS["extras"])  # what the suite and its package import, at the end

import lmstudio  # noqa: E402

from . import stand_ins  # noqa: E402

# The official package's inside.
OUT_OF_SCOPE = [
    re.compile(pattern)
    for pattern in (
        r"test_basics.py::test_(no_automatic_schema_numbering|public_callables)",
        r"test_default_values.py::.*test_(extract_type_and_default_method|msgspec_auto_defaults)",
        r"test_history.py::test_(file_handle_cache|user_message_attachments)",
        r"test_logging.py::test_invalid_endpoint_request_stream",
        r"test_history.py::test_initial_history_with_prompt",
        r"test_kv_config.py::test_(struct_field_coverage|snake_case_conversion)",
        r"test_kv_config.py::test_kv_stack_field_coverage",
        r"test_schemas.py::test_(lists_of_lists|data_cycles|struct_display|model_session_types)",
        r"test_session_errors.py::",
        r"test_sessions.py::test_(session_cm|implicit_|websocket_cm)",
        r"test_traceback_filtering.py",
    )
]


def write(**line):
    with Path(SETTINGS["outcomes"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


stand_ins.install_subtests()
if SETTINGS["package"] != "ours":
    for client in (lmstudio.Client, lmstudio.AsyncClient):
        client._DEFAULT_API_PORTS = (SETTINGS["port"],)
else:
    stand_ins.install()


def pytest_configure(config):
    for name in ("asyncio", "lmstudio", "slow", "wip"):
        config.addinivalue_line("markers", f"{name}: as in the official suite")


def pytest_ignore_collect(collection_path):
    name = collection_path.name
    return True if name.startswith("test_plugin") else None


def pytest_collection_modifyitems(config, items):
    # An uncut traceback counts as none.
    sys.modules["tests.support"].EXPECT_TB_TRUNCATION = False
    out = [item for item in items if not is_in_scope(item)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]
    write(collected=len(items))


def is_in_scope(item):
    return not any(pattern.search(item.nodeid) for pattern in OUT_OF_SCOPE)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test of asyncio gets an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_runtest_logreport(report):
    if type(report) is not pytest.TestReport or (report.when != "call" and report.passed):
        return  # a part of a test, or what stands around it
    words = ""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        words = crash.message if crash else str(report.longrepr)[-300:]
    write(id=report.nodeid.removeprefix("tests/"), outcome=report.outcome, words=words)
