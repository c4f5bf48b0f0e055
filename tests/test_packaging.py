"""What the package ships, what it needs, and how its files may import each other."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio
from lmstudio.cli import doctor

PACKAGE = Path(lmstudio.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400  # lines of one file

# The house: a file imports only files that are named before it, and so never upward nor in circles.
# (What stands under `if TYPE_CHECKING:` is never run, and may name anything.)
FLOORS = {
    "ground floor, the line": """
        errors _process _deadline _address _endpoints _frames _watcher cancellation _callbacks
        _call _protocol _transport _connect _link _io _line
    """,
    "first floor, the shapes": """
        _converter _annotations _refs _typed schema _config_input config _kv _kv_read
        _chat_messages _chat_input chat _tool_arguments tools files info results
    """,
    "second floor, the doing": """
        _tool_requests _reader _outbox _background _stream_reading _delivery _iterator prediction
        _scope _progress _batch models _predictions _many _tool_calls _act _llm _upload catalog
        repository _discovery client _default_client background dispatchers
    """,
    "roof": "__init__ __main__",
}
HEIGHT = {name: i for i, name in enumerate(" ".join(FLOORS.values()).split())}
ROOMS = [path for path in FILES if path.parent == PACKAGE]  # lmstudio.testing stands beside them


def names(paths):
    return [path.relative_to(PACKAGE).as_posix() for path in paths]


class RunTime(ast.NodeTransformer):
    """Takes out what is for type checkers only."""

    def visit_If(self, node):
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node


def imported_rooms(path):
    """The files of the package that a file imports when it runs, also inside functions."""
    for node in ast.walk(RunTime().visit(ast.parse(path.read_bytes()))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("lmstudio." if node.level else "") + (node.module or "")
            modules = [f"{base.rstrip('.')}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "lmstudio":
                yield rest.partition(".")[0] or "__init__", node.lineno


def test_run_time_dependencies_are_exactly_three():
    requirements = importlib.metadata.requires("lmstudio") or []
    needed = [line for line in requirements if "extra ==" not in line]
    assert sorted(re.match(r"[\w.-]+", line)[0] for line in needed) == [
        "attrs",
        "cattrs",
        "websocket-client",
    ]
    versions = {f"{package}>={oldest}" for package, oldest in doctor.NEEDED.values()}
    assert sorted(versions) == sorted(line.replace(" ", "") for line in needed)


def test_metadata_version_is_the_package_version():
    assert importlib.metadata.version("lmstudio") == lmstudio.__version__


def test_py_typed_is_shipped():
    assert (PACKAGE / "py.typed").is_file()


def test_import_is_silent_and_loads_only_the_three_dependencies():
    code = """
import json, sys
before = set(sys.modules)
from lmstudio import *
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()  # the import itself printed nothing
    allowed = {"lmstudio", "websocket", "attr", "attrs", "cattr", "cattrs"}
    allowed |= {"exceptiongroup", "typing_extensions"}  # cattrs' own
    foreign = {name for name in json.loads(line) if not name.startswith("_sysconfigdata")}
    assert foreign - allowed - sys.stdlib_module_names == set()


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_file_opens_with_a_docstring_and_is_not_too_long(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a file says in its first lines what it is for"
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("path", ROOMS, ids=names(ROOMS))
def test_imports_go_downward_only(path):
    room = path.stem
    assert room in HEIGHT, f"{path.name} is new: give it a place in FLOORS of {Path(__file__).name}"
    wrong = [
        f"line {line} imports {other}"
        for other, line in imported_rooms(path)
        if HEIGHT.get(other, len(HEIGHT)) >= HEIGHT[room]
    ]
    assert not wrong, f"{path.name} may import only what FLOORS names before it"


def test_public_names_are_listed_one_by_one_and_exist():
    tree = ast.parse((PACKAGE / "__init__.py").read_bytes())
    (listed,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    public = ast.literal_eval(listed)  # a plain list, not computed
    assert len(set(public)) == len(public)
    assert not [name for name in public if name.startswith("_") and name != "__version__"]
    assert not [name for name in public if not hasattr(lmstudio, name)]
    stars = [node for node in ast.walk(tree) if isinstance(node, ast.alias) and node.name == "*"]
    assert not stars


def test_names_are_imported_when_they_are_used_first():
    code = """
import sys
import lmstudio
first = {name for name in sys.modules if name.startswith("lmstudio")}
lmstudio.Chat("You are brief.")
print(sorted(first), "lmstudio.chat" in sys.modules, "websocket" in sys.modules)
print(set(lmstudio.__all__) <= set(dir(lmstudio)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stderr, done.stdout) == ("", "['lmstudio'] True False\nTrue\n")


def test_what_type_checkers_see_is_what_is_imported():
    tree = ast.parse((PACKAGE / "__init__.py").read_bytes())
    (static,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {node.module: [alias.name for alias in node.names] for node in static.body}
    assert seen == lmstudio._HOMES
    assert sorted(lmstudio._HOME) == sorted(set(lmstudio.__all__) - {"__version__"})


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lmstudio.Nothing  # noqa: B018
