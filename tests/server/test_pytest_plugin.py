"""The pytest plugin: what a user's test finds, and what it says to a mistake."""

from importlib.metadata import entry_points

import pytest

pytest_plugins = "pytester"


# Where the package is installed, its entry point has registered the plugin already.
INSTALLED = entry_points(group="pytest11", value="lmstudio.testing.pytest_plugin")
PLUGIN = () if INSTALLED else ("-p", "lmstudio.testing.pytest_plugin")


def test_the_plugin(pytester):
    pytester.makepyfile("""
        import lmstudio
        import pytest

        def app():  # as a user has it: it knows nothing of tests
            return str(lmstudio.llm().respond("hi"))

        def test_app(lmstudio_server, lmstudio_client):
            lmstudio_server.reply("from the test")
            assert app() == "from the test"
            assert lmstudio_client is lmstudio.get_default_client()
            assert lmstudio_server.predictions[0].messages[0]["role"] == "user"

        @pytest.mark.lmstudio_server(token="sk-lm-abcdefgh:abcdefghij0123456789")
        def test_arguments(lmstudio_server, lmstudio_client):
            assert lmstudio_server.tokens
            assert app() == "This is a reply of the test server."

        def test_server_alone(lmstudio_server):
            assert lmstudio_server.connections == []
    """)
    result = pytester.runpytest_subprocess(*PLUGIN, "--strict-markers")
    result.assert_outcomes(passed=3)


def test_the_plugin_is_light(pytester):
    pytester.makepyfile("""
        import sys

        def test_nothing_was_imported_for_nothing():
            assert "websockets" not in sys.modules
            assert "lmstudio.testing.server" not in sys.modules
    """)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


APP = """
    import os
    import subprocess
    import sys

    import lmstudio as lms
    import pytest

    def app():  # as a user has it: it knows nothing of tests
        return lms.llm().respond("hi").content
"""


def run(pytester, program, *options):
    """Run tests that stand after the application."""
    pytester.makepyfile(APP + program)
    return pytester.runpytest_subprocess(*PLUGIN, "--strict-markers", "-W", "error", *options)


def test_with_the_server_alone_the_application_talks_to_it(pytester):
    run(
        pytester,
        """
    @pytest.mark.parametrize("number", range(2))
    def test_the_functions_of_the_package(lmstudio_server, number):
        lmstudio_server.reply(f"from test {number}")
        assert app() == f"from test {number}"
        assert len(lmstudio_server.predictions) == 1

    def test_a_client_of_its_own(lmstudio_server):
        with lms.Client() as client:
            assert client.llm.model().respond("hi").content
        assert len(lmstudio_server.predictions) == 1

    @pytest.mark.lmstudio_server(token="sk-lm-abcdefgh:abcdefghij0123456789")
    def test_a_server_that_wants_a_token(lmstudio_server):
        assert app()
        with lms.Client(lmstudio_server.host) as client:
            assert client.llm.list_loaded()

    def test_another_process(lmstudio_server):
        program = "import lmstudio as lms; print(lms.llm().respond('hi'))"
        lmstudio_server.reply("from the test")
        output = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=30)
        assert output == "from the test\\n"
""",
    ).assert_outcomes(passed=5)


def test_afterwards_all_is_as_it_was(pytester, monkeypatch):
    monkeypatch.setenv("LM_API_TOKEN", "of the developer")
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", "/nowhere")
    run(
        pytester,
        """
    files = []

    def check():
        assert os.environ["LM_API_TOKEN"] == "of the developer"
        assert os.environ["LMS_API_SERVER_INFO_PATH"] == "/nowhere"

    @pytest.mark.lmstudio_server(token="sk-lm-abcdefgh:abcdefghij0123456789")
    def test_during(lmstudio_server):
        assert os.environ["LM_API_TOKEN"] == lmstudio_server.tokens[0]
        files.append(os.environ["LMS_API_SERVER_INFO_PATH"])
        assert os.path.exists(files[0])
        assert app()

    def test_after():
        check()
        assert not os.path.exists(files[0])
        with pytest.raises(lms.LMStudioError):
            app()
""",
    ).assert_outcomes(passed=2)


def test_a_host_that_the_application_has_configured_is_kept(pytester):
    run(
        pytester,
        """
    from lmstudio.testing import Server

    @pytest.fixture(scope="module", autouse=True)
    def own():
        with Server() as server:
            lms.configure_default_client(server.host)
            yield server
            lms.configure_default_client()

    def test_the_server_is_not_for_those_who_want_another(lmstudio_server, own):
        assert app()
        assert (len(lmstudio_server.predictions), len(own.predictions)) == (0, 1)

    def test_but_the_client_fixture_is(lmstudio_server, lmstudio_client, own):
        assert app()
        assert (len(lmstudio_server.predictions), len(own.predictions)) == (1, 1)

    def test_and_then_it_is_the_configured_host_again(own):
        assert app()
        assert len(own.predictions) == 2
""",
    ).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("lod_time=1", "there is no argument 'lod_time'; the nearest is 'load_time'*there is port"),
        ("bogus=1", "there is no argument 'bogus'; there is port, engine, models, loaded, hub"),
        ("1.0", "expected arguments with names, got 1.0; there is port, engine"),
        ("load_time='x'", "load_time must be a number, got 'x' (str)"),
        ("auth='maybe'", "auth must be one of 'normal', 'refuse', 'silent', got 'maybe'"),
    ],
)
def test_a_wrong_argument_of_the_marker_is_named(pytester, arguments, words):
    result = run(
        pytester,
        f"""
    @pytest.mark.lmstudio_server({arguments})
    def test_it(lmstudio_server):
        pass
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.lmstudio_server: {words}*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*another exception*")


def test_without_websockets_it_says_what_to_install(pytester):
    pytester.makeconftest("import sys; sys.modules['websockets'] = None")
    result = run(
        pytester,
        """
    def test_it(lmstudio_server):
        pass
""",
    )
    result.assert_outcomes(errors=1)
    words = "lmstudio.testing needs websockets: pip install websockets"
    result.stdout.fnmatch_lines([words])
