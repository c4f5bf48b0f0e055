"""Uploads that fail, at our end or at the other."""

import io
import os

import pytest
from handles.uploading import BIG, assert_uploads_again, link_of, open_upload, sending
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._requests.uploads import Upload


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_in_the_middle_of_reading_leaves_the_client_usable(server, client, error):
    class Failing(io.BytesIO):
        def read(self, count=-1):
            if self.tell() > len(BIG) // 2:
                raise error
            return super().read(count)

    with pytest.raises(error):
        client.prepare_image(Failing(BIG), "big.png")

    assert_uploads_again(server, client)


@pytest.mark.parametrize("before", ["make", "queue", "tell"])
def test_ctrl_c_at_any_step_of_making_a_frame_leaves_the_client_usable(
    server, client, monkeypatch, before
):
    made = []
    make = Upload.make

    def interrupted(frames):
        made.append(1)
        if len(made) < 10:
            make(frames)
        elif before == "make":
            raise KeyboardInterrupt
        else:
            frame, _ = next(frames._frames)
            if before == "tell":
                frames._made.append(frame)
            raise KeyboardInterrupt

    monkeypatch.setattr(Upload, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.prepare_image(BIG, "big.png")

    monkeypatch.undo()
    assert_uploads_again(server, client)


@pytest.mark.parametrize(("size", "words"), [(100, "fewer"), (len(BIG) + 1, "more")])
def test_a_file_that_changes_while_it_is_sent_is_a_clear_error(
    server, client, stalled, tmp_path, monkeypatch, size, words
):
    path = tmp_path / "big.png"
    path.write_bytes(BIG)
    upload = Worker(client.prepare_image, path)
    eventually(lambda: link_of(client).transport.wants_to_write)

    os.truncate(path, size)
    stalled.connection.resume()

    with pytest.raises(lms.LMStudioOSError, match=rf"changed.*12,582,912 bytes.*{words} now"):
        raise upload.error()
    assert_uploads_again(server, client)


def test_a_connection_that_is_lost_in_the_middle_fails_the_upload(server, client, stalled):
    upload = stalled()
    waiting = Worker(client.prepare_image, b"second", "second.txt")
    eventually(lambda: link_of(client)._waiting)

    stalled.connection.drop()

    assert isinstance(upload.error(), lms.LMStudioConnectionLostError)
    assert waiting.result().name == "second.txt"  # none of it was sent, so it is sent now
    assert_uploads_again(server, client, connections=2)


def test_a_server_that_closes_in_the_middle_tells_its_code(server, client):
    upload, source = open_upload(client)
    call = sending(client)
    server.connections[-1].close(1009)  # as one that finds a message too big
    eventually(lambda: call.outcome is not None)  # no more than one piece is read after that
    source.allow(1)

    error = upload.error()

    assert isinstance(error, lms.LMStudioConnectionLostError)
    assert error.close_code == 1009
    assert_uploads_again(server, client, connections=2)


@pytest.mark.parametrize(
    "answer",
    [
        '{"type": "rpcError", "callId": %d, "error": {"title": "the disk is full"}}',
        '{"type": "communicationWarning", "kind": "rpcEndpointUnknown", "warning": "Received '
        'rpcCall for unknown endpoint, endpoint = uploadFileBase64, the disk is full, %d"}',
    ],
    ids=["error", "warning"],
)
def test_a_server_that_refuses_in_the_middle_is_heard(server, client, answer):
    upload, source = open_upload(client)
    call = sending(client)

    server.connections[-1].send_text(answer % call.id)

    assert_uploads_again(server, client)  # the rest was not sent, and the connection is free
    source.allow(1)
    error = upload.error()
    assert isinstance(error, lms.LMStudioServerError)
    assert "the disk is full" in str(error)
