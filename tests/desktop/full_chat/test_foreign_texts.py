"""Texts of others show no file of this computer, and nothing breaks the window."""

import base64
import sys

import pytest
from desktop.full_chat.chat_window import all_html, answered, open_first, shown, write_chat

pytestmark = pytest.mark.gui
IMAGES = [
    "![x]({path})",
    "![x](file://{path})",
    "![x](secret.png)",
    '![x]({path} "ti>tle")',
    "[![x]({path})](https://example.org)",
    "![x][1]\n\n[1]: {path}",
    "| a |\n|---|\n| ![x]({path}) |\n",
    "![a>b \" ' <x]({path})",
    "<img src='{path}'>",
    "![x](data:image/svg+xml;base64,{svg})",
]


def svg_of(path, before=""):
    link = f'<image xlink:href="{path}" width="300" height="100"/>'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'{before}<svg {names} width="300" height="100">{link}</svg>'
    return base64.b64encode(svg.encode()).decode()


def assert_no_secret(window):
    image = window.grab().toImage()
    step = range(0, min(image.width(), image.height()), 4)
    everywhere = {image.pixelColor(x, y).name() for x in step for y in step}
    assert "#ff00ff" not in everywhere


@pytest.mark.parametrize("markdown", IMAGES)
def test_a_reply_shows_no_image_of_this_computer(server, window, turn, secret, markdown):
    markdown = markdown.format(path=secret, svg=svg_of(secret))
    answered(window, server, turn, "Hi", f"Look:\n\n{markdown}\n\nSeen?")
    assert shown(window)[-1].startswith("Look:")
    assert shown(window)[-1].endswith("Seen?")
    assert "<img" not in all_html(window)
    turn()
    assert_no_secret(window)


def test_an_image_of_a_reply_is_told_by_its_name(server, window, turn, secret):
    answered(window, server, turn, "Hi", f"`![c](/x)` ![a map]({secret})")
    assert shown(window)[-1] == "![c](/x) [image: a map]"


@pytest.mark.parametrize("word", ["x" * 300, f"[it](https://x/{'y' * 300})", f"`{'z' * 300}`"])
def test_a_word_that_is_longer_than_the_window_is_broken(server, window, turn, word):
    answered(window, server, turn, "Hi", f"See {word}.")
    reply = window.findChild(type(window.light), "reply")
    assert reply.minimumSizeHint().width() < reply.width()


@pytest.mark.parametrize("markdown", IMAGES)
def test_a_chat_file_shows_no_image_of_this_computer(
    server, window, turn, tmp_path, secret, markdown
):
    reply = markdown.format(path=secret, svg=svg_of(secret))
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]
    write_chat(tmp_path, messages)
    open_first(window, turn)
    assert len(window.chat) == 2
    assert "<img" not in all_html(window)
    assert_no_secret(window)


@pytest.mark.parametrize("before", ["", "<!--    WEBP-->", "<!--ftypavif-->"])
def test_an_svg_that_says_it_is_a_png_is_refused(server, window, turn, tmp_path, secret, before):
    image = {"url": f"data:image/png;base64,{svg_of(secret, before)}"}
    content = [{"type": "image_url", "image_url": image}]
    write_chat(tmp_path, [{"role": "user", "content": content}])
    open_first(window, turn)
    assert "no image" in window.status.text()
    assert len(window.chat) == 0
    assert_no_secret(window)


def test_an_error_is_shown_as_plain_text(server, window, turn, secret):
    words = f"<b>boom</b> <img src='{secret}'>"
    answered(window, server, turn, "Hi", "one", error_after=0, error=words)
    from PySide6.QtCore import Qt

    assert words in window.status.text()
    assert window.status.textFormat() == Qt.TextFormat.PlainText
    assert_no_secret(window)


def test_only_links_to_the_web_are_opened(example, monkeypatch):
    view = sys.modules["full_chat_view"]
    opened = []
    monkeypatch.setattr(view.QDesktopServices, "openUrl", opened.append)
    view.open_link("https://example.org")
    view.open_link("file:///etc/passwd")
    assert opened == ["https://example.org"]
