"""The pytest plugin: what a user's test finds, and what it says to a mistake."""

import importlib.util
import textwrap
from importlib.metadata import entry_points

import pytest

pytest_plugins = "pytester"


# Where the package is installed, its entry point has registered the plugin already.
INSTALLED = entry_points(group="pytest11", value="lmstudio.testing.pytest_plugin")
WITH_ASYNCIO = () if INSTALLED else ("-p", "lmstudio.testing.pytest_plugin")
PLUGIN = (*WITH_ASYNCIO, "-p", "no:asyncio")  # that one warns of what is not set for it


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


def run(pytester, program, *options, plugin=PLUGIN):
    """Run tests that stand after the application."""
    pytester.makepyfile(APP + program)
    return pytester.runpytest_subprocess(*plugin, "--strict-markers", "-W", "error", *options)


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


# -- an application that keeps what it made ----------------------------------------------------

KEEPS = """
    import lmstudio as lms

    model = lms.llm()

    def answer():
        return model.respond("hi").content
"""
KEEPS_TESTS = """
    import lmstudio as lms
    import pytest

    @pytest.mark.parametrize("number", range(3))
    def test_it(lmstudio_server, number):
        from the_app import answer

        lmstudio_server.reply(f"from test {number}")
        assert answer() == f"from test {number}"
        assert len(lmstudio_server.predictions) == 1

    @pytest.mark.lmstudio_server(token="sk-lm-abcdefgh:abcdefghij0123456789")
    def test_a_server_that_wants_a_token(lmstudio_server):
        from the_app import answer

        assert answer()
        assert len(lmstudio_server.predictions) == 1

    def test_the_default_client_is_the_same(lmstudio_server, lmstudio_client):
        from the_app import answer

        assert answer()
        assert lmstudio_client is lms.get_default_client()
        assert len(lmstudio_server.predictions) == 1
"""


def test_a_handle_that_the_application_keeps_goes_to_the_server_of_each_test(pytester):
    pytester.makepyfile(the_app=KEEPS, test_it=KEEPS_TESTS)
    pytester.runpytest_subprocess(*PLUGIN, "-W", "error").assert_outcomes(passed=5)


def test_an_application_may_make_a_handle_while_it_is_imported_by_the_tests(pytester):
    pytester.makepyfile(the_app=KEEPS, test_it="import the_app\n" + textwrap.dedent(KEEPS_TESTS))
    pytester.makeini("[pytest]\nlmstudio_server_while_collecting = true")
    pytester.runpytest_subprocess(*PLUGIN, "-W", "error").assert_outcomes(passed=5)


def test_or_by_conftest(pytester):
    pytester.makepyfile(the_app=KEEPS, test_it=KEEPS_TESTS, conftest="import the_app")
    pytester.makeini("[pytest]\nlmstudio_server_while_collecting = true")
    pytester.runpytest_subprocess(*PLUGIN, "-W", "error").assert_outcomes(passed=5)


def test_what_is_imported_finds_no_server_unless_that_is_wanted(pytester, monkeypatch):
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(pytester.path / "nowhere"))  # as without one
    pytester.makepyfile(the_app=KEEPS, test_it="import the_app")
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*LMStudioWebsocketError: LM Studio is not reachable*"])


def test_what_a_test_leaves_running_ends_with_it(pytester):
    run(
        pytester,
        """
    import threading

    left = []

    def test_one(lmstudio_server):
        lmstudio_server.hold("predict")
        left.append(lms.llm().respond_stream("hi").run_in_background(on_done=left.append))
        lmstudio_server.expect("predict")

    def test_two(lmstudio_server):
        before = list(left)
        assert left[0].result(timeout=5).cancelled
        assert app()
        assert left == before  # no callback of one test starts in another
        assert len(lmstudio_server.predictions) == 1

    def test_three():
        for thread in threading.enumerate():
            if thread.name == "lmstudio-io":
                thread.join(5)  # it is in its last steps
                assert not thread.is_alive()
""",
    ).assert_outcomes(passed=3)


# -- beside other plugins -----------------------------------------------------------------------


def needs(plugin):
    return pytest.mark.skipif(
        importlib.util.find_spec(plugin) is None, reason=f"{plugin} is not installed"
    )


@needs("freezegun")
def test_a_test_may_freeze_the_time(pytester):
    run(
        pytester,
        """
    import datetime
    import time

    import freezegun

    @pytest.fixture(autouse=True)
    def frozen():
        with freezegun.freeze_time("2020-01-01") as clock:
            yield clock

    def test_delays_take_their_time(lmstudio_server):
        lmstudio_server.reply("one two three", delay=0.01, prefill=0.02)
        assert app() == "one two three"
        assert datetime.date.today().year == 2020

    @pytest.mark.lmstudio_server(load_time=0.02)
    def test_loading(lmstudio_server):
        assert lms.llm("test-vlm").respond("hi").content

    def test_the_test_waits_no_longer_than_it_says(lmstudio_server):
        with pytest.raises(AssertionError, match="waited 0.05 s"):
            lmstudio_server.expect("predict", timeout=0.05)

    def test_time_limits(lmstudio_server, frozen):
        lmstudio_server.reply("one two", silent_after=1)
        model = lms.llm()
        frozen.tick(datetime.timedelta(hours=1))
        with pytest.raises(lms.LMStudioTimeoutError):
            model.respond("hi", idle_timeout=0.1)
        frozen.move_to("1999-01-01")
        assert model.respond("hi", timeout=30).content
""",
        "--timeout=40",
    ).assert_outcomes(passed=4)


@needs("pytest_socket")
@pytest.mark.parametrize("option", ["--disable-socket", "--allow-hosts=192.0.2.1"])
def test_where_sockets_are_disabled_a_test_reaches_its_server_and_nothing_else(pytester, option):
    run(
        pytester,
        """
    import socket

    import pytest_socket

    BLOCKED = (pytest_socket.SocketBlockedError, pytest_socket.SocketConnectBlockedError)

    def connect():
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.connect(("198.51.100.1", 9))

    @pytest.mark.filterwarnings("ignore:A test tried")
    def test_with_a_server(lmstudio_server, lmstudio_client):
        assert app()
        assert lmstudio_client.llm.list_loaded()
        with pytest.raises(BLOCKED):
            connect()

    @pytest.mark.filterwarnings("ignore:A test tried")
    @pytest.mark.allow_hosts(["198.51.100.1"])
    def test_and_what_it_may_reach_anyway(lmstudio_server):
        assert app()
        with pytest.raises(OSError):  # it is let through, and on its way, or there is no way
            connect()

    @pytest.mark.filterwarnings("ignore:A test tried")
    def test_without_one():
        with pytest.raises(BLOCKED):
            connect()
""",
        option,
    ).assert_outcomes(passed=3)


@needs("xdist")
@pytest.mark.parametrize("is_wanted", ["true", "false"])
def test_tests_may_run_in_several_processes(pytester, is_wanted):
    pytester.makepyfile(the_app=KEEPS, test_it=KEEPS_TESTS, test_that=KEEPS_TESTS)
    pytester.makeini(f"[pytest]\nlmstudio_server_while_collecting = {is_wanted}")
    result = pytester.runpytest_subprocess(*PLUGIN, "-W", "error", "-n", "2")
    result.assert_outcomes(passed=10)


@needs("pytest_asyncio")
def test_tests_may_be_coroutines(pytester):
    run(
        pytester,
        """
    import asyncio

    @pytest.fixture
    async def client(lmstudio_server):
        async with lms.AsyncClient() as client:
            yield client

    @pytest.mark.parametrize("number", range(2))
    async def test_a_coroutine(lmstudio_server, client, number):
        lmstudio_server.reply(f"from test {number}")
        model = await client.llm.model()
        assert (await model.respond("hi")).content == f"from test {number}"
        assert len(lmstudio_server.predictions) == 1

    async def test_the_application_in_a_thread(lmstudio_server, lmstudio_client):
        assert await asyncio.to_thread(app)

    def test_no_coroutine(lmstudio_server, lmstudio_client):
        assert app()
""",
        *("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        plugin=WITH_ASYNCIO,
    ).assert_outcomes(passed=4)
