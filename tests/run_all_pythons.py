"""Run the tests on every Python from 3.10 on that this machine has, each in a clean environment.

The package is built once and installed as a wheel, so what it forgets to ship is missed here.
The oldest Python gets the oldest versions of what the package needs that setup.cfg allows, the
others the newest. Where there is no global lock, as in Python 3.14t, the race tests run many times
more.
All arguments go to pytest, but for `--ends`: the oldest and the newest Python but for the one that
runs this, which `make test` has tested; both at the same time, since it is for CI, which must not
take long. `make test-all` calls this.
"""

import configparser
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
ENVIRONMENTS = ROOT / ".venvs"
EXPECTED = ["3.10", "3.11", "3.12", "3.13", "3.14"]
REPEAT = 20
ENDS = "--ends"
IDENTIFY = """
import json, sys, sysconfig
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(json.dumps({
    "name": "%d.%d" % sys.version_info[:2] + free, "version": sys.version_info[:3],
    "usable": sys.implementation.name == "cpython" and sys.version_info[3] == "final",
    "path": getattr(sys, "_base_executable", sys.executable),
}))
"""


def clean_environment():
    """This process's environment without what steers Python, pytest or the package."""
    unwanted = ("PYTHON", "PYTEST_", "PYENV_VERSION", "VIRTUAL_ENV", "LM_", "LMSTUDIO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def candidates():
    """Where an interpreter may be: on the path, in pyenv (its shims may fail), with uv."""
    for folder in os.get_exec_path():
        yield from sorted(glob.glob(f"{folder}/python3*"))
    home = Path.home()
    pyenv = os.environ.get("PYENV_ROOT") or home / ".pyenv"
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"
    for folder in (f"{pyenv}/versions", uv):
        yield from sorted(glob.glob(f"{folder}/*/bin/python3"))
    yield sys.executable


def identify(path):
    """What the interpreter says of itself, or None."""
    command, environment = [path, "-I", "-c", IDENTIFY], clean_environment()
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, env=environment)
        return json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find():
    """The interpreters to use: the newest of each minor version, {"3.10": path}."""
    found = {}
    for path in candidates():
        if not re.fullmatch(r"python[\d.]*t?", Path(path).name):
            continue  # python3-config and the like
        python = identify(path)
        if python and python["usable"] and python["version"] >= [3, 10]:
            best = found.setdefault(python["name"], python)
            if python["version"] > best["version"]:
                found[python["name"]] = python
    by_version = sorted(found.items(), key=lambda item: item[1]["version"])
    return {name: python["path"] for name, python in by_version}


def oldest_versions():
    """What the package needs, as setup.cfg has it, each in the oldest version that it allows."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["testing"]
    return [line.replace(">=", "==") for line in lines.split()]


def call_out(*command, output=None):
    """Run a command in the clean environment, in view unless there is a file; its return code."""
    sys.stdout.flush()
    streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
    return subprocess.call(command, cwd=ROOT, env=clean_environment(), **streams)


def run_in_view(name, path, wheel, arguments, versions, output=None):
    """Install and test on one interpreter, and say so; how it went, and the line that tells it."""
    print(f"\n==== Python {name} ({path})", *versions, file=output, flush=True)
    start = time.monotonic()
    result = run(name, path, wheel, arguments, versions, output)
    seconds = time.monotonic() - start
    return result, f"Python {name:6} {result:16} {seconds:4.0f} s  {path}"


def run_at_once(cases, wheel, arguments):
    """Do so on several at the same time; each one's output is shown when it has ended."""

    def one(case):
        with tempfile.TemporaryFile("w+") as output:
            told = run_in_view(*case[:2], wheel, arguments, case[2], output)
            output.seek(0)
            return told, output.read()

    with ThreadPoolExecutor(len(cases) or 1) as threads:
        for told, output in threads.map(one, cases):
            print(output, flush=True)
            yield told


def run(name, path, wheel, arguments, versions=(), output=None):
    """Install and test on one interpreter, with these versions; how it went."""

    def call(*command):
        return call_out(*command, output=output)

    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    if call(sys.executable, "-m", "virtualenv", "--quiet", "-p", path, folder):
        return "no environment"
    if call(*pip, f"lmstudio[testing,test] @ {wheel.as_uri()}", *versions):
        return "not installed"
    pytest = (python.with_name("pytest"), "-q", *arguments)
    if call(*pytest):
        return "FAILED"
    if name.endswith("t") and call(*pytest, "--maxfail=3", f"--repeat={REPEAT}", "-m", "races"):
        return "RACES FAILED"
    return "passed"


def main():
    pythons, arguments = find(), sys.argv[1:]
    here = list(pythons)
    is_for_ends = ENDS in arguments
    if is_for_ends:
        arguments.remove(ENDS)
        pythons.pop(f"{sys.version_info[0]}.{sys.version_info[1]}", None)
        ends = (*list(pythons)[:1], *list(pythons)[-1:])
        pythons = {name: pythons[name] for name in ends}
    shutil.rmtree(ENVIRONMENTS, ignore_errors=True)
    build = ("wheel", "--quiet", "--no-deps", "--use-pep517", "--wheel-dir", ENVIRONMENTS, ".")
    if call_out(sys.executable, "-m", "pip", *build):
        return 1
    (wheel,) = ENVIRONMENTS.glob("*.whl")
    cases = [
        (name, path, oldest_versions() if name == EXPECTED[0] else [])
        for name, path in pythons.items()
    ]
    if is_for_ends:
        results = list(run_at_once(cases, wheel, arguments))
    else:
        results = [run_in_view(*case[:2], wheel, arguments, case[2]) for case in cases]
    lines = [line for _, line in results]
    passed = [
        case[0] for case, (result, _) in zip(cases, results, strict=True) if result == "passed"
    ]
    missed = [name for name in EXPECTED if name not in here]
    print("", *lines, sep="\n")
    print("passed:", ", ".join(passed) or "none")
    print("not on this machine:", ", ".join(missed) or "none")
    if not any(name.endswith("t") for name in pythons):
        print("no free-threaded Python is here: the race tests were not run on one")
    return 0 if passed == list(pythons) and (pythons or is_for_ends) else 1


if __name__ == "__main__":
    sys.exit(main())
