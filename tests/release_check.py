"""Builds the sdist and the wheel, checks them as a release needs it, and says what was done.

The packages are left in dist/. A check that fails does not keep the others from being made; the
program ends with 1 then. Packages are fetched as pip's own configuration says. `make release-check`
calls this; arguments go to pytest, in place of the usual part of the tests.
"""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
BUILD_LIMIT, TOOL_LIMIT, TEST_LIMIT = 600, 120, 900  # seconds
TOOLS = Path(sys.executable).parent
# The part of the tests that is run out of the sdist: of each kind something.
PART = (
    *("tests/test_packaging.py", "tests/test_ci_workflow.py", "tests/test_public_paths.py"),
    *("tests/test_official_paths.py", "tests/test_examples.py", "tests/api"),
    *("tests/concurrency", "tests/prediction", "tests/values/test_chat.py"),
    *("tests/server/test_command_line.py", "tests/cli/test_command_line.py"),
)
NOT_IN_SDIST = {".git-blame-ignore-revs"}  # about the commits, which an sdist does not have


class Failure(Exception):
    """A check that failed; the text says why."""


def run(*command, limit, cwd=ROOT, **environment):
    """What a command printed, both streams. A `Failure` shows it."""
    unwanted = ("PYTEST_", "LM_", "LMSTUDIO_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env={**kept, "PYTHONUTF8": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"took more than {limit} s: {' '.join(map(str, command))}") from error
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def version_of_the_source():
    """`__version__`, read and not imported."""
    for node in ast.parse((ROOT / "lmstudio" / "__init__.py").read_bytes()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return ast.literal_eval(node.value)
    raise Failure("lmstudio/__init__.py has no __version__")


def difference(there, wanted):
    """What two sets of files do not share, in words; empty if they are the same."""
    rows = [f"missing: {name}" for name in sorted(wanted - there)]
    return "\n".join(rows + [f"not wanted: {name}" for name in sorted(there - wanted)])


class Release:
    """The two packages, and what is to hold of them."""

    def __init__(self, folder, arguments):
        self.folder = folder
        self.arguments = arguments or PART
        self.version = version_of_the_source()
        self.wheel = DIST / f"lmstudio-{self.version}-py3-none-any.whl"
        self.sdist = DIST / f"lmstudio-{self.version}.tar.gz"

    def build(self):
        """the sdist, and the wheel out of the sdist"""
        shutil.rmtree(DIST, ignore_errors=True)
        run(sys.executable, "-m", "build", "--outdir", DIST, limit=BUILD_LIMIT)
        sizes = [f"{file.name} ({file.stat().st_size // 1024} KiB)" for file in DIST.iterdir()]
        with tarfile.open(self.sdist) as archive:
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(self.folder, **safely)
        return ", ".join(sorted(sizes))

    def one_version(self):
        """the version is written once, and has its place in the changelog"""
        written = [
            file.relative_to(ROOT).as_posix()
            for file in (*ROOT.glob("setup.*"), *(ROOT / "lmstudio").rglob("*.py"))
            if self.version in file.read_text(encoding="utf-8")
        ]
        if written != ["lmstudio/__init__.py"]:
            raise Failure(f"{self.version} is written in {', '.join(written)}")
        with zipfile.ZipFile(self.wheel) as archive:
            metadata = archive.read(f"lmstudio-{self.version}.dist-info/METADATA").decode()
        if Parser().parsestr(metadata)["Version"] != self.version:
            raise Failure("the wheel's metadata has another version")
        if f"## [{self.version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
            raise Failure(f"CHANGELOG.md has no heading [{self.version}]")
        return self.version

    def public_api(self):
        """the record of the public API, and the changelog"""
        return run(sys.executable, "tests/api/record.py", limit=TOOL_LIMIT)

    def twine(self):
        """twine check --strict"""
        run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir(), limit=TOOL_LIMIT)

    def wheel_contents(self):
        """check-wheel-contents"""
        run(TOOLS / "check-wheel-contents", "--no-config", self.wheel, limit=TOOL_LIMIT)

    def wheel_files(self):
        """the wheel has the files of the package, and no others"""
        package = ROOT / "lmstudio"
        wanted = {file.relative_to(ROOT).as_posix() for file in package.rglob("*.py")}
        wanted.add("lmstudio/py.typed")
        with zipfile.ZipFile(self.wheel) as archive:
            there = {name for name in archive.namelist() if ".dist-info/" not in name}
        if words := difference(there, wanted):
            raise Failure(words)
        return f"{len(there)} files"

    def sdist_files(self):
        """the sdist has the files that are in version control, and no others"""
        if not (ROOT / ".git").exists():
            return "not checked: this is no clone"
        tracked = run("git", "ls-files", "-z", limit=TOOL_LIMIT).split("\0")
        wanted = {name for name in tracked if name and (ROOT / name).exists()} - NOT_IN_SDIST
        top = self.folder / f"lmstudio-{self.version}"
        there = {
            file.relative_to(top).as_posix()
            for file in top.rglob("*")
            if file.is_file() and "lmstudio.egg-info" not in file.parts and file.name != "PKG-INFO"
        }
        if words := difference(there, wanted):
            raise Failure(f"{words}\ntests/sdist.in chooses the files; git add comes first")
        return f"{len(there)} files"

    def tests(self):
        """tests out of the unpacked sdist, of the installed wheel"""
        site = self.folder / "site"
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "install", "--no-deps", "--target", site, self.wheel, limit=BUILD_LIMIT)
        top = self.folder / f"lmstudio-{self.version}"
        where = "import lmstudio; print(lmstudio.__file__)"
        path = {"PYTHONPATH": str(site)}
        imported = run(sys.executable, "-c", where, limit=TOOL_LIMIT, cwd=self.folder, **path)
        if not imported.startswith(str(site)):
            raise Failure(f"another lmstudio is imported: {imported}")
        told = run(
            *(sys.executable, TOOLS / "pytest", "-q", "-p", "no:cacheprovider", *self.arguments),
            limit=TEST_LIMIT,
            cwd=top,
            **path,
        )
        return told.strip().splitlines()[-1]

    CHECKS = (
        *(build, one_version, public_api, twine, wheel_contents, wheel_files, sdist_files),
        tests,
    )


def main():
    """Make all checks; the exit code."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        release = Release(Path(folder), sys.argv[1:])
        for check in release.CHECKS:
            try:
                told = (check(release) or "").strip()
            except Failure as failure:
                failed += 1
                print(f"FAILED  {check.__doc__}\n{failure}", flush=True)
                if check is Release.build:
                    break
            else:
                print(f"ok      {check.__doc__}{told and ': ' + told}", flush=True)
    print(f"{failed} checks failed" if failed else f"lmstudio {release.version} can be released")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
