"""What may be given as an image, what it is called, and what is refused before anything is sent."""

import array
import base64
import ctypes
import errno
import io
import os
import tempfile

import pytest
from helpers import NO_FILE, Worker
from hypothesis import given
from hypothesis import strategies as st

import lmstudio as lms
from lmstudio._values import local_file as files

PNG = b"\x89PNG\r\n\x1a\n" + b"the rest of an image" * 10  # 208 bytes


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


def stored(server):
    """The file that the server has got last: its name and its content."""
    return list(server._core.files.values())[-1]


def pipe(data):
    """A file object that cannot tell how much it has."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return os.fdopen(reader, "rb")


def spooled(data):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return file


def at_its_end(file):
    file.seek(0, io.SEEK_END)
    return file


class Drips(io.BytesIO):
    """Gives less than is asked for, as raw files may."""

    def read(self, count=-1):
        return super().read(min(count, 7))


# -- sources ----------------------------------------------------------------------------------

SOURCES = {
    "a path": (str, "cat.png"),
    "a Path": (lambda path: path, "cat.png"),
    "an open file": (lambda path: path.open("rb"), "cat.png"),
    "an unbuffered file": (lambda path: path.open("rb", buffering=0), "cat.png"),
    "a file opened by its descriptor": (
        lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"),
        "image.png",
    ),
    "bytes": (lambda path: PNG, "image.png"),
    "a bytearray": (lambda path: bytearray(PNG), "image.png"),
    "a memoryview": (lambda path: memoryview(PNG), "image.png"),
    "a memoryview with gaps": (lambda path: memoryview(PNG[::-1])[::-1], "image.png"),
    "an array": (lambda path: array.array("I", PNG), "image.png"),
    "an array of C": (lambda path: (ctypes.c_uint64 * 26).from_buffer_copy(PNG), "image.png"),
    "a BytesIO": (lambda path: io.BytesIO(PNG), "image.png"),
    "a BytesIO that was just written": (lambda path: at_its_end(io.BytesIO(PNG)), "image.png"),
    "a file that was read already": (lambda path: at_its_end(path.open("rb")), "cat.png"),
    "a file object that gives little at a time": (lambda path: Drips(PNG), "image.png"),
    "a spooled file": (lambda path: spooled(PNG), "image.png"),
    "a pipe": (lambda path: pipe(PNG), "image.png"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_server_gets_the_very_bytes_of(kind, server, client, image):
    make, name = SOURCES[kind]
    src = make(image)

    handle = client.prepare_image(src)

    assert stored(server).content == PNG
    assert stored(server).name == handle.name == name
    assert (handle.file_type, handle.size_bytes) == ("image", len(PNG))
    if hasattr(src, "close"):
        assert not src.closed  # it is the caller's
        src.close()


def test_a_file_object_is_read_from_where_it_stands(server, client):
    src = io.BytesIO(b"what came before" + PNG)
    src.seek(16)

    client.prepare_image(src)

    assert stored(server).content == PNG
    assert src.tell() == 16 + len(PNG)


@given(
    size=st.integers(1, 200) | st.sampled_from([96 * 1024 + n for n in (-1, 0, 1)] + [200_000]),
    kind=st.sampled_from([bytes, io.BytesIO, Drips, pipe]),
)
def test_base64_of_the_pieces_is_base64_of_the_whole(size, kind):
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    if kind is pipe and size > 60_000:
        kind = io.BytesIO  # more than a pipe holds
    src = kind(data)
    with files.open_local_file(src, None, None) as file:
        pieces = [bytes(piece) for piece in file.pieces]
    if kind is pipe:
        src.close()

    assert file.size == size
    assert b"".join(map(base64.b64encode, pieces)) == base64.b64encode(data)
    assert max(map(len, pieces)) <= 96 * 1024


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (PNG, "image.png"),
        (b"\xff\xd8\xff\xe0", "image.jpg"),
        (b"GIF89a", "image.gif"),
        (b"GIF87a", "image.gif"),
        (b"RIFF\x00\x01\x02\x03WEBPVP8 ", "image.webp"),
        (b"RIFF\x00\x01\x02\x03WAVEfmt ", "file.bin"),
        (b"BM\x36\0\0\0\0\0\0\0\x36", "image.bmp"),
        (b"II*\0", "image.tiff"),
        (b"MM\0*", "image.tiff"),
        (b"\0\0\0\x1cftypavif", "image.avif"),
        (b"\0\0\0\x1cftypheic", "image.heic"),
        (b"%PDF-1.7", "document.pdf"),
        (b"x", "file.bin"),
    ],
)
def test_a_nameless_source_is_called_by_its_first_bytes(server, client, start, name):
    assert client.prepare_image(start).name == name
    assert stored(server).name == name


def test_an_explicit_name_wins(server, client, image):
    for src in (image, PNG, io.BytesIO(PNG)):
        assert client.prepare_image(src, "dog.png").name == "dog.png"
        assert stored(server).name == "dog.png"


@pytest.mark.parametrize("name", ['quote".png', "\\", "猫.png", "\udcff.png", "a\nb\0", '","x":"'])
def test_any_text_may_be_a_name(server, client, name):
    assert client.prepare_image(PNG, name=name).name == name
    assert stored(server).name == name


@pytest.mark.parametrize("name", ["/home/somebody/dog.png", "dog.png"])
def test_a_file_objects_name_is_the_last_part_of_its_path(client, name):
    src = io.BytesIO(PNG)
    src.name = name

    assert client.prepare_image(src).name == "dog.png"


@pytest.mark.parametrize("name", ["<stdin>", "", 3, None, b"dog.png"])
def test_a_file_objects_name_that_is_no_path_does_not_count(client, name):
    src = io.BytesIO(PNG)
    src.name = name

    assert client.prepare_image(src).name == "image.png"


# -- what is refused --------------------------------------------------------------------------


def closed(file):
    file.close()
    return file


class ReadsTooMuch(io.BytesIO):
    def read(self, count=-1):
        return super().read()


def fifo(folder):
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def empty_file(folder):
    (folder / "empty.png").touch()
    return folder / "empty.png"


def big_file(folder):
    (folder / "big.png").write_bytes(b"x" * 1001)
    return folder / "big.png"


def file_for_writing(folder):
    file = (folder / "new").open("wb", buffering=0)
    file.write(PNG)
    file.seek(0)
    return file


UNREADABLE = {
    "a missing file": (lambda folder: folder / "no.png", rf"no\.png.*({NO_FILE})"),
    "a name that no file has": (lambda folder: "a\0b", "null"),
    "no name": (lambda folder: "", NO_FILE),
    "a folder": (lambda folder: folder, "directory or a device"),
    "a named pipe": (fifo, "directory or a device"),
    "a closed file": (lambda folder: closed(io.BytesIO(PNG)), "closed file"),
    "a file for writing": (file_for_writing, "not open for reading"),
}
UNUSABLE = {
    "an empty file": (empty_file, "empty.png.*empty"),
    "no bytes": (lambda folder: b"", "empty"),
    "an empty BytesIO": (lambda folder: io.BytesIO(), "empty"),
    "a pipe that was read already": (lambda folder: pipe(b""), "read already"),
    "a text file": (lambda folder: io.StringIO("text"), "'rb'"),
    "a file object that gives more than asked": (lambda folder: ReadsTooMuch(bytes(99_999)), "rb"),
    "a number": (lambda folder: 5, "int was given"),
    "nothing": (lambda folder: None, "NoneType was given"),
    "a list": (lambda folder: [1, 2], "list was given"),
    "too big a file": (big_file, r"big.png.*limit is 1,000 bytes.*max_upload_bytes"),
    "too many bytes": (lambda folder: bytes(1001), "limit is 1,000"),
    "too big a file object": (lambda folder: io.BytesIO(bytes(1001)), "limit is 1,000"),
    "too much in a pipe": (lambda folder: pipe(bytes(1001)), "limit is 1,000"),
}


@pytest.fixture
def limited(server):
    with lms.Client(server.host, max_upload_bytes=1000) as client:
        yield client
    assert not server.received()
    assert not server.connections  # it did not even connect


@pytest.mark.parametrize("kind", UNREADABLE)
def test_nothing_is_sent_of_what_cannot_be_read(kind, limited, tmp_path):
    make, words = UNREADABLE[kind]
    if kind == "a named pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    src = make(tmp_path)

    with pytest.raises(lms.LMStudioOSError, match=words) as caught:
        limited.prepare_image(src)

    assert isinstance(caught.value, OSError)
    if hasattr(src, "close"):
        src.close()


@pytest.mark.parametrize("kind", UNUSABLE)
def test_nothing_is_sent_of_what_cannot_be_used(kind, limited, tmp_path):
    make, words = UNUSABLE[kind]
    if kind == "a file object that gives more than asked":
        limited._files._max_bytes = None
    src = make(tmp_path)

    with pytest.raises(lms.LMStudioValueError, match=words):
        limited.prepare_image(src)

    if hasattr(src, "close"):
        src.close()


def test_a_missing_file_can_be_told_by_its_errno(limited, tmp_path):
    with pytest.raises(lms.LMStudioOSError) as caught:
        limited.prepare_image(tmp_path / "no.png")

    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_a_clear_error(limited, image):
    image.chmod(0)

    with pytest.raises(lms.LMStudioOSError, match=r"cat.png.*[Pp]ermission"):
        limited.prepare_image(image)


def test_a_file_whose_reading_fails_is_a_clear_error(limited):
    class Broken(io.BytesIO):
        def read(self, count=-1):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(lms.LMStudioOSError, match="Input/output error") as caught:
        limited.prepare_image(Broken(PNG))

    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("name", [5, b"cat.png", ["cat.png"]])
def test_a_name_that_is_no_text_is_refused(limited, name):
    with pytest.raises(lms.LMStudioValueError, match="name must be a string"):
        limited.prepare_image(PNG, name)


def test_the_limit_is_the_clients(server, image):
    with lms.Client(server.host, max_upload_bytes=len(PNG)) as client:
        assert client.prepare_image(image).size_bytes == len(PNG)
    with lms.Client(server.host, max_upload_bytes=None) as client:
        assert client.prepare_image(image).size_bytes == len(PNG)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1", True])
def test_a_limit_that_is_no_number_of_bytes_is_refused(limit):
    with pytest.raises(lms.LMStudioValueError, match="max_upload_bytes must be"):
        lms.Client("127.0.0.1:1", max_upload_bytes=limit)


# -- images of Pillow -------------------------------------------------------------------------


def stand_in(**attributes):
    """What is called PIL.Image.Image, though Pillow need not be here."""

    class Image:
        mode, format = "RGB", None

        def save(self, stream, format=None, **options):
            stream.write(PNG)

    Image.__module__ = "PIL.Image"
    return type("SomeImage", (Image,), {"__module__": "somewhere", **attributes})()


def test_an_image_that_pillow_wrote_into_memory_is_sent_whole(server, client):
    pillow = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    pillow.new("RGB", (3, 2)).save(file, "PNG")  # which leaves it at its end

    client.prepare_image(file)

    assert stored(server).content == file.getvalue()


def test_an_image_is_known_without_importing_pillow(server, client):
    assert client.prepare_image(stand_in()).name == "image.png"
    assert stored(server).content == PNG


def test_an_image_that_cannot_be_saved_is_a_clear_error(limited):
    def save(self, stream, format=None, **options):
        raise SyntaxError("broken PNG file")

    with pytest.raises(lms.LMStudioValueError, match="broken PNG file"):
        limited.prepare_image(stand_in(save=save))


def test_another_class_of_that_name_is_no_image(limited):
    class Image:
        def save(self, stream):
            pass

    with pytest.raises(lms.LMStudioValueError, match="Image was given"):
        limited.prepare_image(Image())


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "CMYK", "HSV", "F", "PA"]
)
def test_an_image_of_pillow_is_sent_as_png(server, client, mode):
    pillow = pytest.importorskip("PIL.Image")
    image = pillow.new(mode, (3, 2))

    handle = client.prepare_image(image)

    assert handle.name == "image.png"
    content = stored(server).content
    assert len(content) == handle.size_bytes
    with pillow.open(io.BytesIO(content)) as sent:
        sent.load()
    assert (sent.format, sent.size) == ("PNG", (3, 2))
    keeps = mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    assert sent.mode == mode if keeps else sent.mode.startswith("RGB")


@pytest.mark.parametrize(
    ("opened", "sent"), [("cat.jpg", "JPEG"), ("cat.webp", "PNG"), ("cat.gif", "PNG")]
)
def test_an_image_that_was_opened_keeps_its_name(server, client, tmp_path, opened, sent):
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / opened
    pillow.new("RGB", (30, 20), "teal").save(path)
    with pillow.open(path) as image:
        handle = client.prepare_image(image)

    assert handle.name == ("cat.jpg" if sent == "JPEG" else "cat.png")
    with pillow.open(io.BytesIO(stored(server).content)) as found:
        assert found.format == sent
        assert found.size == (30, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photo_of_a_telephone_is_sent_the_right_side_up(server, client, form):
    pillow = pytest.importorskip("PIL.Image")
    photo = pillow.new("RGB", (30, 20), "teal")
    told = photo.getexif()
    told[0x0112] = 6  # turn it by 90 degrees
    told[0x010F] = "the maker of the camera"
    file = io.BytesIO()
    photo.save(file, form, exif=told)

    with pillow.open(file) as image:
        client.prepare_image(image)

    with pillow.open(io.BytesIO(stored(server).content)) as sent:
        tells = dict(sent.getexif())
        if form == "JPEG":  # the very pixels, and how to turn them
            assert (sent.size, tells) == ((30, 20), {0x0112: 6})
        else:
            assert (sent.size, tells.get(0x0112)) == ((20, 30), None)


def test_a_frame_of_a_camera_is_refused_with_the_two_ways_to_encode_it(server, client):
    numpy = pytest.importorskip("numpy")
    frame = numpy.zeros((48, 64, 3), numpy.uint8)

    with pytest.raises(lms.LMStudioValueError, match=r"48 x 64 x 3.*cv2\.imencode.*fromarray"):
        client.prepare_image(frame)

    client.prepare_image(numpy.frombuffer(PNG, numpy.uint8))  # what imencode gives
    client.prepare_image(numpy.frombuffer(PNG, numpy.uint8).reshape(-1, 1))  # and once gave
    assert stored(server).content == PNG


def test_a_jpeg_that_became_transparent_is_sent_as_png(server, client, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("RGB", (30, 20), "teal").save(tmp_path / "cat.jpg")
    with pillow.open(tmp_path / "cat.jpg") as image:
        image.putalpha(100)
        handle = client.prepare_image(image)

    assert handle.name == "cat.png"
    with pillow.open(io.BytesIO(stored(server).content)) as found:
        assert (found.format, found.mode) == ("PNG", "RGBA")


# -- handles ----------------------------------------------------------------------------------


def test_a_handle_goes_into_a_chat(server, client, image):
    handle = client.files.prepare_image(image)
    chat = lms.Chat()
    chat.add_user_message("What is this?", images=[handle])

    client.llm.model("test-vlm").respond(chat)

    (request,) = server.received(endpoint="predict")
    (message,) = request["creationParameter"]["history"]["messages"]
    assert message["content"][1] == {
        "type": "file",
        "name": "cat.png",
        "identifier": handle.identifier,
        "sizeBytes": len(PNG),
        "fileType": "image",
    }


def test_the_default_client_takes_files_too(server, image):
    lms.configure_default_client(server.host)
    try:
        assert lms.prepare_image(image, "dog.png").name == "dog.png"
        assert stored(server).content == PNG
    finally:
        lms.configure_default_client(None)


@pytest.mark.parametrize(
    "answer",
    [None, 1, [], {}, {"identifier": "a"}, {"identifier": 1, "fileType": 2, "sizeBytes": "x"}],
)
def test_an_answer_that_describes_no_file_is_a_clear_error(server, client, answer):
    server.hold("uploadFileBase64")
    worker = Worker(client.prepare_image, PNG)
    server.expect("uploadFileBase64").result(answer)

    with pytest.raises(lms.LMStudioProtocolError, match="uploadFileBase64 is malformed"):
        raise worker.error()


def test_the_servers_refusal_is_raised(server, client):
    server.hold("uploadFileBase64")
    worker = Worker(client.prepare_image, PNG)
    server.expect("uploadFileBase64").error("The disk is full")

    with pytest.raises(
        lms.LMStudioServerError, match="RPC error: The upload failed: The disk is full"
    ):
        raise worker.error()
