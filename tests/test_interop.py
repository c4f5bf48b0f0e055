"""The embedded server, checked by LM Studio's own Python client: both must speak the protocol."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

OFFICIAL = Path(sys.prefix) / "official"  # `make test` installs the official package there

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not (OFFICIAL / "lmstudio").is_dir(),
        reason="the official client is not here: `make test` installs it",
    ),
]

PRELUDE = """
import sys
import lmstudio as lms
assert lms.__version__ == "1.5.0"
"""


def run_official(server, program, directory):
    """Run a program of the official client against the server; it must be silent on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), server.host],
        env={**os.environ, "PYTHONPATH": str(OFFICIAL)},
        cwd=directory,  # not here, where `lmstudio` would be ours
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_official_client_streams_and_gets_its_result(server, tmp_path):
    server.reply(["Hel", "lo", "!"])

    output = run_official(
        server,
        """
        with lms.Client(sys.argv[1]) as client:
            model = client.llm.model()
            stream = model.respond_stream("Say hello.")
            print([fragment.content for fragment in stream])
            result = stream.result()
            print(result.content, result.stats.stop_reason, result.stats.predicted_tokens_count)
            print(model.count_tokens("a b c"), result.model_info.model_key)
        """,
        tmp_path,
    )

    assert output == ["['Hel', 'lo', '!']", "Hello! eosFound 3", "3 test-llm"]


def test_the_official_client_cancels_in_the_loop(server, tmp_path):
    server.reply("word " * 1000, delay=0.001)

    output = run_official(
        server,
        """
        lms.configure_default_client(sys.argv[1])
        stream = lms.llm().respond_stream("Tell me a story.")
        for number, fragment in enumerate(stream):
            if number == 3:
                stream.cancel()
        print(stream.result().stats.stop_reason)
        """,
        tmp_path,
    )

    assert output == ["userStopped"]
    server.predictions[0].wait_finished()
    assert 0 < server.predictions[0].cancelled_after < 1000
    assert server.predictions[0].tokens_sent < 1000


def test_the_official_client_loads_completes_and_understands_errors(server, tmp_path):
    server.reply(" upon a time")

    output = run_official(
        server,
        """
        with lms.Client(sys.argv[1]) as client:
            progress = []
            model = client.llm.model("test-vlm", on_load_progress=progress.append)
            print(model.identifier, float(progress[-1]))
            print(model.complete("Once", config={"maxTokens": 20}).content)
            try:
                client.llm.model("no-such-model")
            except lms.LMStudioServerError as error:
                print("no-such-model" in str(error))
            print(sorted(m.identifier for m in client.llm.list_loaded()))
        """,
        tmp_path,
    )

    assert output == [
        "test-vlm 1.0",
        " upon a time",
        "True",
        "['test-llm', 'test-vlm']",
    ]


DOCS_PROGRAMS = {
    "convenience": """
        lms.configure_default_client(sys.argv[1])
        model = lms.llm()
    """,
    "scoped": """
        client = lms.Client(sys.argv[1]).__enter__()
        model = client.llm.model()
    """,
}


@pytest.mark.parametrize("api", DOCS_PROGRAMS)
@pytest.mark.parametrize("package", ["official", "ours"])
def test_the_same_cancelling_program_prints_the_same_with_both_packages(
    server, tmp_path, api, package
):
    server.reply([f"{n} " for n in range(500)], delay=0.001)
    program = (
        DOCS_PROGRAMS[api]
        + """
        prediction_stream = model.respond_stream("What is the meaning of life?")
        cancelled = False
        for fragment in prediction_stream:
            if fragment.content.startswith("7"):
                cancelled = True
                prediction_stream.cancel()
        if not cancelled:
            print(prediction_stream.result())
        print(cancelled, prediction_stream.result().content)
        print(prediction_stream.result().stats.stop_reason, prediction_stream.model_info.model_key)
    """
    )
    if package == "official":
        output = run_official(server, program, tmp_path)
    else:
        source = "import sys\nimport lmstudio as lms\n" + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, "-c", source, server.host],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        output = done.stdout.splitlines()

    assert output == ["True 0 1 2 3 4 5 6 7 ", "userStopped test-llm"]
