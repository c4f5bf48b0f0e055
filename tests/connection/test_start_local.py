"""`start_local()`: a fake installation of LM Studio, our own server, is found and started."""

import contextlib
import logging
import os
import subprocess
import sys
import threading

import pytest
from connection.fake_installation import LIMIT, Installation, wait_until_it_ends
from helpers import HOME, WINDOWS, Worker, eventually

import lmstudio as lms
from lmstudio._connection import discovery, start_local

posix_only = pytest.mark.skipif(WINDOWS, reason="Windows has no such rights")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A home folder with LM Studio's files in it, and nothing at the well-known ports."""
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.delenv("LMS_API_SERVER_INFO_PATH", raising=False)
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", ())
    monkeypatch.setattr(discovery, "_PROBE_SECONDS", 20.0)  # a busy machine may be late
    nothing_was_started(monkeypatch)
    fake = Installation(tmp_path)
    yield fake
    fake.stop()


def nothing_was_started(monkeypatch):
    monkeypatch.setattr(start_local._starting.value, "last", None)
    monkeypatch.setattr(start_local._starting.value, "answered", None)


NEVER = "time.sleep(600)"
ENDS_WHEN_ASKED = """
from lmstudio.testing import Server
with Server() as server:
    with open({!r}, "w") as file:
        file.write(json.dumps({{"port": server.port}}))
    while not server.received(endpoint="requestShutdown"):
        time.sleep(0.01)
    time.sleep(0.1)  # the answer goes out
"""


def test_what_is_installed_is_started_and_its_host_can_be_used(fake, caplog):
    program = fake.server()
    file = fake.name(program)
    with caplog.at_level(logging.INFO, logger="lmstudio"):
        host = lms.start_local(LIMIT)

    (started,) = fake.started()
    assert (started["name"], started["arguments"]) == ("llmster", [])
    assert os.path.samefile(started["cwd"], fake.user)
    with contextlib.closing(lms.Client(host)) as client:
        assert client.system.get_info().pid == started["pid"]
        assert lms.Client.find_default_local_api_host() == host
    (line,) = [r.getMessage() for r in caplog.records if r.name == "lmstudio"]
    assert str(program) in line.replace("\\\\", "\\")
    assert str(file) in line.replace("\\\\", "\\")
    assert lms.start_local(LIMIT) == host  # it runs: nothing is started
    assert len(fake.started()) == 1


def test_a_server_that_runs_is_returned_and_nothing_is_started(fake, server, monkeypatch):
    fake.name(fake.program("llmster", NEVER))
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", (server.port,))

    assert lms.start_local() == server.api_host

    assert fake.started() == []


def test_the_app_is_started_without_a_window_where_there_is_no_llmster(fake):
    fake.name(fake.server("app"), "app")

    assert lms.start_local(LIMIT)

    (started,) = fake.started()
    assert started["arguments"] == ["--run-as-service"]
    if sys.platform == "linux":
        assert started["display"] == os.environ.get("DISPLAY", ":0")


def test_llmster_goes_before_the_app_unless_it_is_gone(fake):
    fake.name(fake.server("app"), "app")
    file = fake.name(fake.user / "gone")

    assert lms.start_local(LIMIT)
    assert [entry["name"] for entry in fake.started()] == ["app"]
    fake.stop()
    fake.info.unlink()
    file.unlink()
    fake.name(fake.server("llmster"))
    assert lms.start_local(LIMIT)
    assert [entry["name"] for entry in fake.started()] == ["app", "llmster"]


def test_the_electron_of_a_developer_is_started_in_its_folder(fake):
    folder = fake.user / "app"
    folder.mkdir(mode=0o755)
    program = fake.server("electron")
    fake.name(program, "app", argv=[str(program), "."], cwd=str(folder))

    assert lms.start_local(LIMIT)

    (started,) = fake.started()
    assert started["arguments"] == [".", "--run-as-service"]
    assert os.path.samefile(started["cwd"], folder)


def test_a_home_folder_that_is_elsewhere_is_found_by_its_pointer(tmp_path, fake):
    other = tmp_path / "elsewhere"
    fake.internal.rename(tmp_path / "moved")
    other.mkdir(mode=0o755)
    (tmp_path / "moved").rename(other / ".internal")
    fake.internal = other / ".internal"
    fake.info = fake.internal / "http-server.json"
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{other}\n")
    (tmp_path / ".lmstudio-home-pointer").chmod(0o644)
    fake.name(fake.server())

    assert lms.start_local(LIMIT)


def test_folders_may_have_blanks_and_letters_of_all_kinds(tmp_path, monkeypatch):
    user, home = tmp_path / "Jürgen 日本", tmp_path / "LM Studio, für mich"
    home.mkdir()
    user.mkdir()
    monkeypatch.setenv(HOME, str(user))
    monkeypatch.delenv("LMS_API_SERVER_INFO_PATH", raising=False)
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", ())
    nothing_was_started(monkeypatch)
    fake = Installation(user, home)
    (user / ".lmstudio-home-pointer").write_text(f"{home}\n", encoding="utf-8")
    fake.name(fake.server())
    try:
        host = lms.start_local(LIMIT)

        assert lms.Client.find_default_local_api_host() == host
        (started,) = fake.started()
        assert os.path.samefile(started["cwd"], user)
    finally:
        fake.stop()


def test_what_was_started_outlives_the_program_and_its_session(fake):
    fake.name(fake.server())
    code = (
        "import lmstudio as lms\n"
        "from lmstudio._connection import discovery\n"
        "discovery.DEFAULT_PORTS = ()\n"
        f"print(lms.start_local({LIMIT}))"
    )
    output, errors = fake.user / "output.txt", fake.user / "errors.txt"
    with output.open("w") as stdout, errors.open("w") as stderr:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code],
            stdout=stdout,
            stderr=stderr,
            timeout=LIMIT,
            start_new_session=True,
        )

    assert (done.returncode, errors.read_text()) == (0, "")
    host = output.read_text().strip()
    assert lms.Client.is_valid_api_host(host)
    if not WINDOWS:
        (started,) = fake.started()
        assert os.getsid(started["pid"]) == started["pid"]  # of a session of its own


@pytest.mark.skipif(sys.platform != "linux", reason="tells the open files by /proc")
def test_what_is_started_inherits_no_open_files_and_says_nothing(fake):
    fake.name(fake.server())
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        lms.start_local(LIMIT)
    finally:
        os.close(writer)
    (started,) = fake.started()
    links = {fd: os.readlink(f"/proc/{started['pid']}/fd/{fd}") for fd in range(3)}

    assert links == dict.fromkeys(range(3), "/dev/null")
    assert os.read(reader, 1) == b""  # nobody else has the other end
    os.close(reader)


def test_two_threads_start_one(fake):
    fake.name(fake.server(before="time.sleep(0.2)"))
    workers = [Worker(lms.start_local, LIMIT) for _ in range(4)]

    hosts = {worker.result(LIMIT) for worker in workers}

    assert len(hosts) == 1
    assert len(fake.started()) == 1


def test_a_launcher_that_ends_well_is_waited_for(fake):
    server = fake.server()
    fake.name(fake.program("launcher", f"import subprocess\nsubprocess.Popen([{str(server)!r}])"))

    assert lms.start_local(LIMIT)

    assert [entry["name"] for entry in fake.started()] == ["launcher", "llmster"]


def test_what_has_answered_is_started_again_however_late_its_end_is_told(fake, monkeypatch):
    fake.name(fake.server())
    assert lms.start_local(LIMIT)
    fake.stop()
    fake.info.unlink()
    last = start_local._starting.value.last
    looks = iter([None, None])  # its end is told only while the next call waits for an answer
    monkeypatch.setattr(last.process, "poll", lambda: next(looks, -9))

    assert lms.start_local(LIMIT)

    assert next(looks, "all were taken") == "all were taken"
    assert [entry["name"] for entry in fake.started()] == ["llmster", "llmster"]


def test_what_was_asked_to_end_and_takes_its_time_is_started_again(fake):
    fake.name(fake.program("llmster", ENDS_WHEN_ASKED.format(str(fake.info)) + "time.sleep(1)"))
    host = lms.start_local(LIMIT)
    with contextlib.closing(lms.Client(host)) as client:
        client.system.request_shutdown()
    eventually(lambda: not lms.Client.is_valid_api_host(host), LIMIT)
    fake.name(fake.server("new"))

    assert lms.start_local(LIMIT)

    assert [entry["name"] for entry in fake.started()] == ["llmster", "new"]


def test_a_call_that_looked_before_another_one_started_something_starts_nothing(fake, monkeypatch):
    fake.name(fake.server())
    own = start_local._starting.value
    find, others = start_local.find_started, []

    def another_call_is_faster(deadline):
        found = find(deadline)
        if not others:
            others.append(own.last)
            monkeypatch.setattr(start_local, "find_started", find)
            own.last = start_local._start()
        return found

    monkeypatch.setattr(start_local, "find_started", another_call_is_faster)
    assert lms.start_local(LIMIT)

    assert others == [None]
    assert len(fake.started()) == 1


# -- what ends the waiting ---------------------------------------------------------------------


def test_an_event_that_is_set_before_starts_nothing(fake):
    fake.name(fake.program("llmster", NEVER))
    token = lms.CancelToken()
    token.cancel("not today")

    with pytest.raises(lms.LMStudioCancelledError, match=r"not today.*Nothing was started") as got:
        lms.start_local(cancel_event=token)

    assert got.value.reason == "not today"
    assert fake.started() == []


def test_an_event_ends_the_waiting_and_what_was_started_goes_on(fake):
    program = fake.program("llmster", NEVER)
    fake.name(program)
    event = threading.Event()
    worker = Worker(lambda: lms.start_local(None, event))
    eventually(fake.started, LIMIT)

    event.set()

    error = worker.error(LIMIT)
    (started,) = fake.started()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert f"(process {started['pid']}) was started, and goes on" in str(error) or WINDOWS
    with pytest.raises(lms.LMStudioTimeoutError, match="goes on"):  # it is waited for again
        lms.start_local(0.3)
    assert len(fake.started()) == 1


def test_a_limit_of_time_says_what_was_started_and_what_to_do(fake):
    program = fake.program("llmster", NEVER)
    fake.name(program)

    with pytest.raises(lms.LMStudioTimeoutError) as got:
        lms.start_local(0.5)

    words = str(got.value)
    assert "timeout=0.5 s" in words
    assert repr(str(program)) in words
    assert "was started, and goes on; call start_local() again to wait for it" in words
    fake.expect(1)


def test_no_time_at_all_starts_nothing(fake):
    fake.name(fake.program("llmster", NEVER))
    with pytest.raises(lms.LMStudioTimeoutError, match="Nothing was started"):
        lms.start_local(0)
    assert fake.started() == []


def test_a_program_that_fails_at_once_is_not_waited_for_and_may_be_started_again(fake):
    fake.name(fake.program("llmster", "sys.exit(3)"))

    with pytest.raises(lms.LMStudioOSError, match="has ended with code 3"):
        lms.start_local(LIMIT)
    fake.name(fake.server("mended"))
    assert lms.start_local(LIMIT)

    assert [entry["name"] for entry in fake.started()] == ["llmster", "mended"]


class Broken:
    def is_set(self):
        raise ConnectionError("its other process is gone")


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"timeout": -1}, lms.LMStudioValueError),
        ({"timeout": "60"}, lms.LMStudioValueError),
        ({"cancel_event": 3}, lms.LMStudioValueError),
        ({"cancel_event": Broken()}, lms.LMStudioRuntimeError),
    ],
)
def test_what_cannot_be_used_starts_nothing(fake, arguments, error):
    fake.name(fake.program("llmster", NEVER))
    with pytest.raises(error):
        lms.start_local(**arguments)
    assert fake.started() == []


# -- what cannot be started --------------------------------------------------------------------


def test_where_nothing_is_installed_the_places_are_named(fake):
    with pytest.raises(lms.LMStudioOSError) as got:
        lms.start_local()

    words = str(got.value).replace("\\\\", "\\")
    for name in ("llmster", "app"):
        assert f"there is no '{fake.internal / f'{name}-install-location.json'}'" in words
    assert "Install LM Studio (https://lmstudio.ai) and run it once" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no program"),
        ("[]", "names no program"),
        ('{"argv": []}', "names no program"),
        ('{"path": 7}', "names no program"),
        ("[" * 4000, "names no program"),
        ('{"path": "llmster"}', "no absolute path"),
        ('{"path": "/nowhere/llmster"}', "which is not there"),
    ],
)
def test_a_file_that_names_no_program_is_told(fake, text, words):
    if WINDOWS:
        text = text.replace("/nowhere", "C:/nowhere")
    (fake.internal / "app-install-location.json").write_text(text)
    (fake.internal / "app-install-location.json").chmod(0o644)

    with pytest.raises(lms.LMStudioOSError, match=words):
        lms.start_local()


def test_a_program_that_the_system_refuses_is_told(fake):
    program = fake.user / "llmster"
    program.write_bytes(b"\x00 no program")
    program.chmod(0o644)
    fake.name(program)

    with pytest.raises(lms.LMStudioOSError, match=r"could not be started.*llmster"):
        lms.start_local()


@pytest.mark.parametrize("argv", [["llmster"], ["electron", "."]])
@pytest.mark.parametrize("name", ["no\0name", "half\ud83d"])
def test_a_folder_whose_name_the_system_cannot_have_is_told(fake, argv, name):
    fake.name(fake.server(), argv=argv, cwd=str(fake.user / name))

    with pytest.raises(lms.LMStudioOSError, match=r"cannot be used|could not be started"):
        lms.start_local()
    assert not fake.started()


def test_with_a_server_that_was_chosen_nothing_is_started(fake, monkeypatch, tmp_path):
    fake.name(fake.server())
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(tmp_path / "chosen.json"))

    with pytest.raises(lms.LMStudioWebsocketError, match="LMS_API_SERVER_INFO_PATH"):
        lms.start_local()

    assert fake.started() == []


# -- what others could have changed ------------------------------------------------------------


def places(fake):
    """Each place that must not be changed by others, by a name."""
    return {
        "file": fake.internal / "llmster-install-location.json",
        "folder": fake.internal,
        "home": fake.home,
        "program": fake.user / "programs" / "llmster",
        "folder of the program": fake.user / "programs",
    }


def installed_apart(fake):
    """The program is in a folder of its own."""
    path = fake.program("llmster", NEVER)
    (fake.user / "programs").mkdir(mode=0o755)
    fake.name(path.rename(fake.user / "programs" / "llmster"))


PLACES = ["file", "folder", "home", "program", "folder of the program"]


@posix_only
@pytest.mark.parametrize("place", PLACES)
def test_what_everybody_can_write_is_refused(fake, place):
    installed_apart(fake)
    path = places(fake)[place]
    path.chmod(path.stat().st_mode | 0o002)

    with pytest.raises(lms.LMStudioOSError) as got:
        lms.start_local()

    words = str(got.value)
    assert "other users could have changed it" in words
    assert f"{str(path)!r} can be written by everybody. To mend it: chmod o-w" in words
    assert fake.started() == []


@posix_only
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.skipif(not WINDOWS and os.geteuid() != 0, reason="needs to give files away")
def test_what_belongs_to_another_user_is_refused(fake, place):
    installed_apart(fake)
    path = places(fake)[place]
    os.chown(path, 12345, -1)

    with pytest.raises(lms.LMStudioOSError, match=r"belongs to another user \(12345\)"):
        lms.start_local()

    assert fake.started() == []


@posix_only
@pytest.mark.skipif(not WINDOWS and os.geteuid() != 0, reason="needs to give files away")
def test_what_a_group_can_write_is_refused_unless_it_is_the_users_own(fake, monkeypatch):
    import grp
    import pwd

    installed_apart(fake)
    path = fake.internal
    os.chown(path, -1, 4321)
    path.chmod(0o775)
    with pytest.raises(lms.LMStudioOSError, match=r"by its group \(4321\).*chmod g-w"):
        lms.start_local()

    user = ("me", "", os.geteuid(), 4321, "", "", "")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(user))

    def group(members):
        fields = ("me", "", 4321, members)
        monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(fields))

    group(["me", "somebody"])
    with pytest.raises(lms.LMStudioOSError, match="by its group"):
        lms.start_local()
    group(["me"])
    with pytest.raises(lms.LMStudioTimeoutError):
        lms.start_local(0.5)
    fake.expect(1)


@posix_only
def test_a_pointer_that_everybody_can_write_is_refused(fake):
    installed_apart(fake)
    pointer = fake.user / ".lmstudio-home-pointer"
    pointer.write_text(str(fake.home))
    pointer.chmod(0o666)

    with pytest.raises(lms.LMStudioOSError, match=r"home-pointer.*by everybody"):
        lms.start_local()


@posix_only
def test_links_are_followed_and_what_they_lead_through_is_looked_at(fake):
    installed_apart(fake)
    place = fake.user / "place"
    place.mkdir(mode=0o755)
    (fake.user / "programs").rename(place / "programs")
    (fake.user / "programs").symlink_to(os.path.join("place", "..", "place", "programs"))
    with pytest.raises(lms.LMStudioTimeoutError):
        lms.start_local(0.5)
    fake.expect(1)
    fake.stop()

    place.chmod(0o777)
    with pytest.raises(lms.LMStudioOSError, match="/place' can be written by everybody"):
        lms.start_local()


@posix_only
def test_links_that_go_round_in_circles_are_an_error(fake):
    file = fake.internal / "llmster-install-location.json"
    file.symlink_to(file)

    with pytest.raises(lms.LMStudioOSError, match="cannot be used"):
        lms.start_local()


@posix_only
def test_the_folder_of_a_developer_must_not_be_everybodys(fake):
    folder = fake.user / "app"
    folder.mkdir()
    folder.chmod(0o1777)  # as /tmp: nobody may change what is there, but add to it
    program = fake.program("electron", NEVER)
    fake.name(program, "app", argv=[str(program), "."], cwd=str(folder))

    with pytest.raises(lms.LMStudioOSError, match="by everybody"):
        lms.start_local()


# -- its end -----------------------------------------------------------------------------------


def test_what_was_started_and_ends_leaves_no_process_behind(fake):
    fake.name(fake.server())
    lms.start_local(LIMIT)
    (started,) = fake.started()

    os.kill(started["pid"], 15)

    wait_until_it_ends(started)


def test_what_was_started_ends_when_it_is_asked_to(fake):
    fake.name(fake.program("llmster", ENDS_WHEN_ASKED.format(str(fake.info))))
    host = lms.start_local(LIMIT)

    with contextlib.closing(lms.Client(host)) as client:
        client.system.request_shutdown()

    eventually(lambda: not lms.Client.is_valid_api_host(host), LIMIT)
    with pytest.raises(lms.LMStudioTimeoutError):  # it is gone, and no other one is there
        lms.start_local(0)
