"""Headers and proxies as users give them: what cannot be sent is refused, and not repeated."""

import pytest

import lmstudio as lms
from lmstudio._api.secret import Secret
from lmstudio._connection.route import check_headers, parse_proxy

VALUE = "topsecret"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-User": f"{VALUE}\r\nX-Admin: true"},
        {"Authorization": f"Bearer {VALUE}\n"},
        {"X": f"{VALUE}\x00"},
        {"X": f"{VALUE}\x7f"},
        {"X": f"{VALUE}\u20ac"},
        {"X": VALUE.encode()},
        {"X": 5},
        {"X": None},
        {f"X {VALUE}": "1"},
        {f"{VALUE}:": "1"},
        {f"{VALUE}\r\nX": "1"},
        {f"{VALUE}\u00e9": "1"},
        {"": VALUE},
        {b"X": VALUE},
        {"Sec-WebSocket-Key": VALUE},
        {"connection": VALUE},
        {"Content-Length": VALUE},
        VALUE,
        5,
    ],
)
def test_headers_that_cannot_be_sent_are_refused_when_the_client_is_made(headers):
    with pytest.raises(lms.LMStudioValueError, match="headers") as caught:
        lms.Client("h:1", headers=headers)
    assert VALUE not in str(caught.value)


def test_headers_are_sent_as_they_are_without_blanks_around_them():
    given = {"X-A": " b\t", "X-Caf": "caf\u00e9", "Host": "other", "Cookie": "a=b"}

    headers = check_headers(Secret(given)).reveal()

    assert headers == {"X-A": "b", "X-Caf": "caf\u00e9", "Host": "other", "Cookie": "a=b"}
    assert check_headers(Secret(None)).reveal() == {}


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://u:{VALUE}@h:1\r\nX: y",
        f"http://u:{VALUE}@h\n:1",
        f"http://u:{VALUE}@h:1\x00",
        f"http://u:{VALUE} @h:1",
        f"http://u:{VALUE}@{'a' * 64}:1",
        f"http://u:{VALUE}@h:99999",
    ],
)
def test_a_proxy_with_what_cannot_be_sent_is_refused_and_not_repeated(proxy):
    with pytest.raises(lms.LMStudioValueError, match="proxy must read") as caught:
        lms.Client("h:1", proxy=proxy)
    assert VALUE not in str(caught.value)


def test_the_login_of_a_proxy_may_have_any_character_that_is_escaped():
    proxy = parse_proxy("http://u%0a:p%40%20%E2%82%AC@proxy.example:8080")

    assert (proxy.host, proxy.port) == ("proxy.example", 8080)
    assert proxy.headers.reveal() == {"Proxy-Authorization": "Basic dQo6cEAg4oKs"}
    assert "Basic" not in repr(proxy)
