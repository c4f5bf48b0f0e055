"""The command line itself: its help, its names, its exit codes, its output that nobody reads."""

import configparser
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import LIMIT, PROGRAM, command, start, terminal
from helpers import WINDOWS, needs_full_disk

import lmstudio
from lmstudio.__main__ import main
from lmstudio.cli._parser import make_parser

ROOT = Path(__file__).parents[2]
COMMANDS = list(make_parser().commands)


def run(*arguments, **settings):
    """Run it without a server; its exit code, output and errors."""
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, encoding="utf-8", timeout=LIMIT, **settings
    )
    return done.returncode, done.stdout, done.stderr


def test_the_version():
    assert run("--version") == (0, f"lmstudio {lmstudio.__version__}\n", "")


def test_help_names_each_command_and_the_exit_codes():
    code, text, errors = run("--help")
    assert (code, errors) == (0, "")
    assert text.startswith("usage: python -m lmstudio COMMAND")
    for name in COMMANDS:
        assert re.search(rf"^    {name} ", text, re.MULTILINE), name
    assert "130 Ctrl-C" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_program_and_a_help(name):
    code, text, errors = run(name, "--help")
    assert (code, errors) == (0, "")
    assert text.startswith(f"usage: python -m lmstudio {name}")
    assert importlib.import_module(f"lmstudio.cli.{name}").run


def test_help_is_a_word_too():
    assert run("help") == run("--help")
    assert run("help", "load") == run("load", "--help")
    assert "unknown command 'lod'" in run("help", "lod")[2]


def test_help_fits_into_a_terminal_and_keeps_its_examples():
    for name in COMMANDS:
        lines = run(name, "--help", env={**os.environ, "COLUMNS": "80"})[1].splitlines()
        assert all(len(line) < 80 for line in lines if "lmstudio" not in line), name
    assert "  python -m lmstudio embed < texts.txt > vectors.jsonl" in run("embed", "--help")[1]


def test_without_a_command_the_help_is_shown_and_nothing_is_done():
    code, text, errors = run()
    assert (code, text) == (2, "")
    assert errors.startswith("usage: ")


def test_it_calls_itself_by_the_name_by_which_it_was_started():
    program = "import sys; sys.argv[0] = {!r}; from lmstudio.__main__ import main; main()"
    for file, name in (("/usr/bin/lmstudio", "lmstudio"), ("C:/x/lmstudio.exe", "lmstudio")):
        done = subprocess.run(
            [sys.executable, "-c", program.format(file), "load"],
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert f"All options: {name} load --help" in done.stderr


def test_the_console_script_is_this_program():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    scripts = settings["options.entry_points"]["console_scripts"]
    name, module, function = re.fullmatch(r"\s*(\w+) = ([\w.]+):(\w+)", scripts).groups()
    assert name == "lmstudio"
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize(
    ("arguments", "what", "instead"),
    [
        ("lod", "unknown command 'lod'", "load"),
        ("chatt", "unknown command 'chatt'", "chat"),
        ("load x --contxt-length 5", "unknown option '--contxt-length'", "--context-length"),
        ("--hst x ls", "unknown option '--hst'", "--host"),
        ("ps --jsn", "unknown option '--jsn'", "--json"),
        ("unload --al", "unknown option '--al'", "--all"),
        ("ls --variant=1", "unknown option '--variant'", "--variants"),
        ("ls more", "unknown argument 'more'", None),
        ("zzzzzz", "unknown command 'zzzzzz'", None),
        ("pull x", "unknown command 'pull'", "download"),
        ("run", "unknown command 'run'", "chat"),
        ("batch --hel", "unknown option '--hel'", "--help"),
        ("batch in out --json", "unknown option '--json'", None),
        ("ls --host a --host b", "only one host can be used here: give --host once", None),
        ("--host a tokens --host b x", "only one host can be used here: give --host once", None),
        ("ls --host a,b", "'a,b' is no host. Give one host", None),
        ("batch in out --host a,b", "'a,b' is no host. Give --host once for each host", None),
    ],
)
def test_what_is_mistyped_is_refused_with_the_nearest_name(capsys, arguments, what, instead):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    first, *hints = capsys.readouterr().err.splitlines()
    assert first == f"lmstudio: {what}."
    assert [line for line in hints if "Did you mean" in line] == (
        [] if instead is None else [f"  Did you mean: {instead}"]
    )
    assert hints[-1].endswith(" --help")


@pytest.mark.parametrize(
    "arguments",
    [
        "load x --ttl -1",
        "load x --ttl nan",
        "load x --gpu 2",
        "load x --gpu much",
        "load x --context-length 0",
        "load x\x1bx",
        "download @q8",
        "tokens x --model \x7f",
        "batch in out --retries -1",
    ],
)
def test_a_value_that_is_none_is_refused(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert repr(arguments.split()[-1]) in capsys.readouterr().err


def test_the_help_tells_all_exit_codes():
    text = " ".join(run("--help")[1].split())
    for code in ("0 done", "1 failed", "2 not", "3 no LM", "4 some rows", "124 time", "130 Ctrl-C"):
        assert code in text


@pytest.mark.parametrize("host", ["", "http://", "127.0.0.1:99999", "two words"])
def test_a_host_that_is_none_is_not_understood(host):
    code, _, errors = run("ls", "--host", host)
    assert code == 2
    assert errors.startswith("lmstudio: --host ")


@pytest.mark.parametrize(
    ("host", "typed"), [("[::1]:9", '"[::1]:9"'), ("http://localhost:9", "http://localhost:9")]
)
def test_a_command_that_is_told_asks_the_same_host(host, typed):
    code, _, errors = run("ls", "--host", host)
    assert code == 3
    assert errors.endswith(f"python -m lmstudio --host {typed} doctor\n")


def test_help_and_version_import_nothing_that_takes_time():
    program = """
import contextlib, sys
from lmstudio.__main__ import main
for arguments in (["--version"], ["--help"], ["load", "--help"]):
    with contextlib.suppress(SystemExit):
        main(arguments)
print("slow:", [name for name in ("attrs", "cattrs", "websocket", "rich", "ssl", "asyncio")
    if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stdout.endswith("slow: []\n"), done.stderr


@pytest.mark.parametrize("name", ["ls", "ps", "tokens", "embed"])
def test_an_output_that_is_closed_at_once_is_no_traceback(server, name):
    texts = ["Hello."] if name in ("tokens", "embed") else []
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        process = start(server, name, *texts, stdout=closed)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (1, "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["load", "--help"]])
def test_a_help_that_nobody_reads_is_no_traceback(arguments):
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.wait(LIMIT) in (0, 1)
    with process.stderr:
        assert process.stderr.read() == b""


def test_an_error_behind_an_output_that_nobody_reads_is_told_all_the_same(server):
    process = start(server, "embed", "a", "--model", "nothing")
    process.stdout.close()
    assert process.wait(LIMIT) == 1
    with process.stderr:
        assert process.stderr.read().startswith("lmstudio: There is no embedding model 'nothing'.")


@needs_full_disk
def test_a_full_disk_is_one_line(server):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, "--host", server.host, "ls"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
        )
    assert done.returncode == 1
    first, then = done.stderr.splitlines()
    assert first == b"lmstudio: No space left on device"
    assert then == b"  Make room there, then the same command again."


@pytest.mark.skipif(WINDOWS, reason="a closed standard output is another thing there")
def test_streams_that_were_closed_before_the_start_are_no_traceback(server):
    done = subprocess.run(
        f'"{sys.executable}" -m lmstudio --host {server.host} ls <&- >&- 2>&-',
        shell=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0


def test_json_holds_in_any_encoding(server):
    for encoding in ("utf-8", "ascii", "latin-1"):
        done = command(server, "tokens", "x", "--json", PYTHONIOENCODING=encoding)
        assert done.stdout.isascii()
    from lmstudio.cli._show import as_json

    assert as_json("\x1b\x9b\x7f") == '"\\u001b\\u009b\\u007f"'


def test_no_colours_where_none_are_wanted(server):
    pytest.importorskip("rich")
    for arguments, environment in ((["--no-color"], {}), ([], {"NO_COLOR": "1"})):
        with terminal(server, "chat", *arguments, **environment) as screen:
            screen.wait_prompt()
            screen.type("Hello.\r")
            screen.wait_for("This is a reply")
            screen.wait_prompt()
            cells = [cell for row in screen.screen.buffer.values() for cell in row.values()]
            assert {cell.fg for cell in cells} == {"default"}
            screen.ctrl_d()
            assert screen.wait_end() == 0


def test_a_server_that_is_not_there_has_an_exit_code_of_its_own():
    code, output, errors = run("ps", "--host", "127.0.0.1:9")
    assert (code, output) == (3, "")
    assert errors.startswith("lmstudio: LM Studio is not reachable at 127.0.0.1:9: ")


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    from lmstudio.cli import ls

    monkeypatch.setattr(ls, "run", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["ls"])


@pytest.mark.parametrize("way", ["Ctrl-C", "cancelled"])
def test_what_was_stopped_has_the_exit_code_of_ctrl_c(monkeypatch, capsys, way):
    from lmstudio.cli import ls

    def stop(options):
        raise KeyboardInterrupt if way == "Ctrl-C" else lmstudio.LMStudioCancelledError()

    monkeypatch.setattr(ls, "run", stop)
    assert main(["ls"]) == 130


@pytest.mark.skipif(not WINDOWS, reason="other systems have no Ctrl-Break")
def test_ctrl_break_does_what_ctrl_c_does():
    program = """
import signal, sys
from lmstudio.__main__ import main
from lmstudio.cli import ls

def run(options):
    signal.raise_signal(signal.SIGBREAK)
    print("never here")

ls.run = run
sys.exit(main(["ls"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
