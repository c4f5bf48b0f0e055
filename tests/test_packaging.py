"""What the package ships, what it needs, and how its files may import each other."""

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio
from lmstudio._api import public_names
from lmstudio.cli import doctor

PACKAGE = Path(lmstudio.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400  # lines of one file, unless it is one class
TOP_LEVEL = {
    *(".ci", ".git-blame-ignore-revs", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("LICENSE", "Makefile", "README.md", "SECURITY.md", "benchmarks", "docs", "examples"),
    *("lmstudio", "ruff.toml", "setup.cfg", "setup.py", "tests"),
}
SUFFIXES = {
    *("", ".py", ".typed", ".md", ".txt", ".cfg", ".toml", ".json", ".yml", ".ipynb", ".in", ".sh"),
    *(".png", ".gif", ".svg", ".css", ".qss", ".mjs", ".cjs", ".ts"),
}

# The house: a file imports only files that are named before it, and so never upward nor in circles:
# rooms in this order, and in each room the files in this order. (What stands under
# `if TYPE_CHECKING:` is never run, and may name anything.)
ROOMS = {
    "": "_other_package errors",
    "_api": """
        public_names program_end backports secret shown numbers callbacks checks warn public
        official_path
    """,
    "_concurrency": """
        clock once drain fork threads tk_calls deadline targets watched event_watcher object_watcher
        cancel_token callback_gate
    """,
    "_json": "whole annotations converter dereference from_json json_schema pattern schema_check",
    "_config": """
        from_user option option_docs prediction_options gpu_setting llm_load_options
        embedding_load_options prediction_dicts load_dicts template_options load_rules to_wire
        from_wire
    """,
    "_connection": """
        limits address endpoints request frames json_limits transport wire dial http_exchange route
        connect discovery trusted_files installation call inner_call silence protocol reactor
        reported port connection_state dispatcher session scope start_local
    """,
    "_values": """
        told messages chat_input openai_messages chat local_file data_url devices model_info
        model_search results log_events documents server_info lm_link
    """,
    "_requests": "answers models loading repository uploads documents diagnostics system plugins",
    "_background": """
        tk_poller toolkits seat doorbell thread lane callback_queue future connection_watch
    """,
    "_prediction": """
        callbacks halves accumulator tool_requests right_to_read reader request iterator prediction
        background_job stream
    """,
    "_batch": """
        outcome numbers verdicts tasks hosts file_lock records journal journal_file options inquiry
        progress calls batch
    """,
    "_agent": """
        tool_context tool_annotations tool_arguments tools plugin_tool rules tool_runs tool_calls
        act
    """,
    "_handles": """
        handle embedding_model llm many downloaded namespaces system uploaded_files files lm_link
        repository log_stream diagnostics plugin_tools plugins
    """,
    "_asyncio": """
        inbox events session iterator stream tool_runs tool_calls act batch handle embedding_model
        llm downloaded namespaces system uploaded_files files lm_link repository log_stream
        diagnostics plugin_tools plugins client
    """,
    "_client": "client default_client run_in_background",
    "_clusters": "task_token on_worker tasks session respond",
}
# lmstudio.testing stands beside them: of the package it imports nothing.
TESTING_ROOMS = {
    "_protocol": """
        public clock log json_checks argument_checks origins errors shapes names packets
    """,
    "_engines": """
        models_on_disk plugins engine generated schema_reply schema_check scripted make_reply
        llama_http llama_request llama_stream llama
    """,
    "_core": """
        loop_thread workers changes connection channel prediction tool_run journal registry options
        core
    """,
    "_endpoints": """
        held_tokens stop_strings reasoning_tags generation predict load models files repository
        lm_link system diagnostics plugins handlers success
    """,
    "_calls": "auth session call holds origin listener",
    "": "server script_file pytest_plugin",
}


def ordered(rooms):
    """The files of some rooms in their order, as "room/file"."""
    return [f"{room}/{name}".lstrip("/") for room, files in rooms.items() for name in files.split()]


def names(paths):
    return [path.relative_to(PACKAGE).as_posix() for path in paths]


class RunTime(ast.NodeTransformer):
    """Takes out what is for type checkers only."""

    def visit_If(self, node):
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node


def imported_files(path, base):
    """The files below `base` that a file imports when it runs, also inside functions."""
    for node in ast.walk(RunTime().visit(ast.parse(path.read_bytes()))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(PACKAGE.parent).parent.parts
            start = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*start, *filter(None, [node.module])))
            modules = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in modules:
            file = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
            # Not `is_file`: some systems find server.py by the name Server.py.
            if str(file) in map(str, FILES) and file.is_relative_to(base):
                yield file.relative_to(base).with_suffix("").as_posix(), node.lineno


def check_imports(base, rooms):
    """Hold every file of some rooms against their order."""
    order = ordered(rooms)
    files = [path for path in FILES if path.is_relative_to(base)]
    found = {path.relative_to(base).with_suffix("").as_posix(): path for path in files}
    doors = {"__init__", "__main__", *(f"{room}/__init__" for room in rooms)}
    if base == PACKAGE:
        doors |= lmstudio._OFFICIAL_PATHS
    outside = () if base.name == "testing" else ("testing/", "cli/")
    new = [n for n in found if n not in order and n not in doors and not n.startswith(outside)]
    assert not new, f"new files, give them a place in {Path(__file__).name}: {new}"
    assert not set(order) - set(found), "files that are gone"
    for height, name in enumerate(order):
        wrong = [
            f"line {line} imports {other}"
            for other, line in imported_files(found[name], base)
            if other not in order[:height]
        ]
        assert not wrong, f"{name} may import only what is named before it"


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
    classes = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    is_one_class = len([c for c in classes if not c.name.startswith("_")]) == 1
    assert len(text.splitlines()) <= LONGEST or is_one_class


def test_imports_go_downward_only():
    check_imports(PACKAGE, ROOMS)


def test_the_official_packages_modules_are_thin_and_nothing_of_ours_imports_them():
    thin = [PACKAGE / f"{name}.py" for name in lmstudio._OFFICIAL_PATHS]
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 32 for path in thin)
    for path in set(FILES) - {*thin, PACKAGE / "__init__.py"}:
        imported = {name for name, _ in imported_files(path, PACKAGE)}
        assert not imported & lmstudio._OFFICIAL_PATHS, path


def test_imports_of_the_embedded_server_go_downward_only():
    check_imports(PACKAGE / "testing", TESTING_ROOMS)


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


def test_a_folder_of_the_packages_name_beside_a_script_does_not_hide_it(tmp_path):
    (tmp_path / "lmstudio").mkdir()  # as a clone's, which holds the package one folder deeper
    script = tmp_path / "script.py"
    script.write_text("import lmstudio; print(lmstudio.Client)")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30)
    assert done.stdout == "<class 'lmstudio.Client'>\n", done.stderr


def test_nothing_is_in_version_control_that_does_not_belong_there():
    root = Path(__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no clone, or git is not here")
    command = ["git", "-C", root, "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if listed.returncode:
        pytest.skip(f"git does not read this clone: {listed.stderr}")
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    assert {file.parts[0] for file in files} == TOP_LEVEL
    assert {file.suffix for file in files} <= SUFFIXES


def test_names_are_imported_when_they_are_used_first():
    code = """
import sys
import lmstudio
first = {name for name in sys.modules if name.startswith("lmstudio")}
lmstudio.Chat("You are brief.")
print(sorted(first), "lmstudio._values.chat" in sys.modules, "websocket" in sys.modules)
print(set(lmstudio.__all__) <= set(dir(lmstudio)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stderr, done.stdout) == ("", "['lmstudio'] True False\nTrue\n")


@pytest.mark.parametrize(
    ("door", "start"),
    [("__init__", ""), ("testing/__init__", "testing/"), ("__main__", "cli/")],
)
def test_what_packs_programs_finds_every_file_by_plain_imports(door, start):
    """Nuitka, cx_Freeze and PyInstaller run nothing: they follow the imports that they see."""
    seen, ahead = set(), [door]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += [other for other, _ in imported_files(PACKAGE / f"{name}.py", PACKAGE)]
    files = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in FILES}
    belong = {name for name in files if name.startswith(start)}
    doors = {name for name in belong if name.endswith(("__init__", "__main__"))}
    if not start:
        belong = {name for name in belong if not name.startswith(("testing/", "cli/"))}
    assert belong - doors - {"testing/pytest_plugin"} <= seen  # pytest loads its plugin by name


def test_what_type_checkers_see_is_what_is_imported():
    tree = ast.parse((PACKAGE / "__init__.py").read_bytes())
    ifs = [node for node in tree.body if isinstance(node, ast.If)]
    (static,) = [node for node in ifs if ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {node.module: [alias.name for alias in node.names] for node in static.body}
    assert seen == public_names.LISTED
    assert {name for names in seen.values() for name in names} == set(lmstudio.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lmstudio.Nothing  # noqa: B018
