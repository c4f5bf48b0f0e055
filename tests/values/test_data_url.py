"""Images as `data:` URLs."""

import base64
import io

import pytest

import lmstudio as lms

PNG = b"\x89PNG\r\n\x1a\n and more"


def content_of(url):
    head, _, data = url.partition(";base64,")
    return head, base64.b64decode(data)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0 and more", "jpeg"),
        (b"GIF89a and more", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"BM\x10\0\0\0\0\0\0\0 and more", "bmp"),
        (b"MM\0* and more", "tiff"),
        (b"\0\0\0\x1cftypavif", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"),
    ],
)
def test_the_first_bytes_say_which_image_it_is(content, kind):
    assert content_of(lms.data_url(content)) == (f"data:image/{kind}", content)


def test_a_path_and_a_file_object_are_read_and_their_names_do_not_matter(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(PNG)
    for source in (path, str(path), io.BytesIO(PNG), bytearray(PNG)):
        assert content_of(lms.data_url(source)) == ("data:image/png", PNG)


def test_an_image_of_pillow_is_a_png():
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 4), "orange")
    head, content = content_of(lms.data_url(image))
    assert head == "data:image/png"
    assert content.startswith(PNG[:8])


def test_a_big_image_is_whole():
    content = PNG + bytes(1_000_001)
    assert content_of(lms.data_url(content))[1] == content


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='...'/>",
        b"<!--    WEBP--><svg/>",
        b"<!--ftypavif--><svg/>",
        b"\x1f\x8b\x08\x08ftypavif\0",  # a packed one, by its own name
        b"BMW is a car maker",
        b"%PDF-1.7",
        b"text",
        b"\x89PN",
    ],
)
def test_what_is_no_image_is_a_clear_error(content, tmp_path):
    with pytest.raises(lms.LMStudioValueError, match=r"^This is no image: .*PNG, JPEG.*Convert it"):
        lms.data_url(content)
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(lms.LMStudioValueError, match=r"photo\.png' is no image"):
        lms.data_url(path)


def test_what_cannot_be_read_is_the_error_of_an_upload(tmp_path):
    with pytest.raises(lms.LMStudioOSError, match="gone"):
        lms.data_url(tmp_path / "gone.png")
    with pytest.raises(lms.LMStudioValueError, match="empty"):
        lms.data_url(b"")
    for url in ("HTTPS://example.org/a.png", "file:///a.png", lms.data_url(PNG)):
        with pytest.raises(lms.LMStudioOSError, match="Give the content as bytes"):
            lms.data_url(url)
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    text = io.TextIOWrapper(io.BytesIO(PNG), "utf-8")
    with pytest.raises(lms.LMStudioValueError, match="'rb'"):
        lms.data_url(text)
    view = memoryview(PNG)
    view.release()
    with pytest.raises(lms.LMStudioValueError, match="released"):
        lms.data_url(view)


def test_a_chat_with_an_image_is_saved_with_it_and_opened_again(client):
    urls = {}

    def upload(image):
        file = client.prepare_image(image)
        urls[file.identifier] = lms.data_url(image)
        return file

    chat = lms.Chat()
    chat.add_user_message("What is it?", images=[upload(PNG)])
    messages = chat.to_openai(image_url=lambda file: urls[file.identifier])
    again = lms.Chat.from_openai(messages, prepare_image=upload)
    assert again.to_openai(image_url=lambda file: urls[file.identifier]) == messages
    assert messages[0]["content"][1]["image_url"]["url"] == lms.data_url(PNG)
