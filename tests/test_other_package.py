"""The official package and this one in one folder: what imports and `doctor` say.

Both are called lmstudio, so one installer overwrites what another put there. The states here are
those that pip leaves with --ignore-installed and --target, made by hand.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio
from lmstudio import _other_package

LIMIT = 30.0  # seconds
ALONE = "-S"  # without what is installed: any package goes before a folder that is none
PACKAGE = Path(lmstudio.__file__).parent
OFFICIAL = Path(sys.prefix) / "official" / "lmstudio"
MEND = "To mend it: pip uninstall lmstudio, again and again until none is installed; "


@pytest.fixture
def folder(tmp_path):
    """A copy of this package, where Python looks first."""
    ignored = shutil.ignore_patterns("__pycache__", "testing")
    shutil.copytree(PACKAGE, tmp_path / "lmstudio", ignore=ignored)
    return tmp_path / "lmstudio"


def add_official_files(folder):
    """What the official package leaves beside this one that is installed over it."""
    for name in _other_package.FILES:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("is_official = True\n")


def put_official_on_top(folder):
    """What is there if the official package is installed over this one."""
    add_official_files(folder)
    (folder / "__init__.py").write_text('__version__ = "1.5.0"\n')


def add_distribution(folder, version):
    """What pip notes of a package that it installs."""
    noted = folder.parent / f"lmstudio-{version}.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lmstudio\nVersion: {version}\n")


def run(folder, *arguments):
    """Run Python where the folder is; its exit code, and what it printed, to stderr too."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout


def doctor(folder, *options):
    return run(folder, *options, "-m", "lmstudio", "doctor", "--host", "127.0.0.1:9")


def test_this_package_has_no_file_that_is_taken_for_one_of_the_official_package():
    assert _other_package.files_in(str(PACKAGE)) == []


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official package is not here: make interop")
@pytest.mark.interop
def test_the_official_package_has_all_the_files_that_it_is_known_by():
    assert _other_package.files_in(str(OFFICIAL)) == list(_other_package.FILES)


def test_alone_in_its_folder_nothing_is_watched_and_nothing_is_read(folder):
    code = """
import sys, lmstudio, lmstudio.errors
print(lmstudio.__file__, "lmstudio._other_package" in sys.modules)
"""
    assert run(folder, "-c", code) == (0, f"{folder / '__init__.py'} False\n")


@pytest.mark.parametrize(
    "module", ["_sdk_models", "_kv_config", "_ws_impl", "_logging", "plugin", "plugin.hooks"]
)
def test_a_file_of_the_official_package_among_ours_cannot_be_imported(folder, module):
    add_official_files(folder)

    code, text = run(folder, "-c", f"import lmstudio.{module}")

    assert code == 1
    name = f"lmstudio.{module.partition('.')[0]}"
    assert f"ImportError: {name} is a file of the official package, which has the same" in text
    assert f"installed into the same folder, {folder}. {MEND}" in text
    assert f"delete what is left of lmstudio and lmstudio-*.dist-info in {folder.parent};" in text


def test_our_module_that_the_official_folder_hides_is_not_mistaken_for_it(folder):
    add_official_files(folder)
    (folder / "_sdk_models.py").write_text("is_official = False\n")

    code, text = run(folder, "-c", "from lmstudio._sdk_models import is_official")

    assert code == 1
    assert "ImportError: lmstudio._sdk_models is a file of the official package" in text


def test_what_is_ours_works_among_files_of_the_official_package(folder):
    add_official_files(folder)
    code = """
import importlib, json, lmstudio
from lmstudio import *
from lmstudio.errors import LMStudioError
importlib.reload(lmstudio)
print(lmstudio.__version__, lmstudio.Chat("x"), LMStudioError is lmstudio.LMStudioError)
"""
    status, text = run(folder, "-c", code)

    assert status == 0
    assert text.startswith(lmstudio.__version__)
    assert text.endswith("True\n")


def test_our_errors_are_refused_where_lmstudio_is_the_official_package(folder):
    put_official_on_top(folder)

    code, text = run(folder, "-c", "from lmstudio.errors import LMStudioError")

    assert code == 1
    assert (
        "ImportError: lmstudio.errors cannot be used: `import lmstudio` gives the official package "
        f"1.5.0 in {folder}, among files of this one; both have the same name. {MEND}"
    ) in text


def test_our_errors_are_refused_where_the_package_itself_is_gone(folder):
    (folder / "__init__.py").unlink()  # with the other package, which had such a file too

    code, text = run(folder, ALONE, "-c", "import lmstudio.errors")

    assert code == 1
    assert (
        "ImportError: lmstudio.errors cannot be used: `import lmstudio` gives nothing: "
        f"{folder} has no __init__.py any more."
    ) in text
    assert MEND in text


def test_the_doctor_finds_files_of_the_official_package(folder):
    add_official_files(folder)

    code, text = doctor(folder)

    assert code == 1
    assert f"ok       lmstudio {lmstudio.__version__}, in {folder}\n" in text
    assert (
        "problem  Files of the official package, which has the same name, lie among them: "
        "_api_server_ports.py, _kv_config.py, _logging.py, _sdk_models/__init__.py, _ws_impl.py, "
        f"_ws_thread.py, plugin/__init__.py. {MEND}"
    ) in text
    assert text.endswith("\nMend this first: no server was looked for.\n")
    assert "Traceback" not in text


def test_the_doctor_finds_that_lmstudio_is_the_official_package(folder):
    put_official_on_top(folder)

    code, text = doctor(folder)

    assert code == 1
    assert f"problem  `import lmstudio` gives the official package 1.5.0 in {folder}, among" in text
    assert MEND in text
    assert text.endswith("\nMend this first: no server was looked for.\n")


def test_the_doctor_finds_that_the_package_itself_is_gone(folder):
    (folder / "__init__.py").unlink()

    code, text = doctor(folder, ALONE)

    assert code == 1
    assert f"problem  `import lmstudio` gives nothing: {folder} has no __init__.py" in text
    assert "Traceback" not in text


def test_the_doctor_finds_two_packages_of_one_name_in_one_folder(folder):
    add_distribution(folder, "1.5.0")
    add_distribution(folder, lmstudio.__version__)

    code, text = doctor(folder)

    assert code == 1
    assert (
        f"problem  Several packages called lmstudio are installed in {folder.parent}, and "
        f"overwrite each other: 1.5.0 and {lmstudio.__version__}. {MEND}"
    ) in text


def test_the_doctor_notes_another_package_of_the_name_elsewhere(folder):
    add_distribution(folder, "1.5.0")

    _, text = doctor(folder)

    assert f"note     lmstudio 1.5.0 is installed in {folder.parent}: a program that has" in text
    assert "Mend this first" not in text


def test_the_doctor_is_not_troubled_by_what_an_uninstaller_left(folder):
    (folder.parent / "lmstudio-1.4.0.dist-info").mkdir()

    _, text = doctor(folder)

    assert "1.4.0" not in text
    assert "Traceback" not in text
