"""Long chats are sent in pieces too, and cancelled while they are."""

from helpers import Worker, eventually

import lmstudio as lms


def big_chat():
    chat = lms.Chat("You are brief.")
    chat.add_user_message("long " * 2_000_000)
    return chat


def pause(server, path):
    (connection,) = (c for c in server.connections if c.path == path)
    connection.pause()
    return connection


def test_a_long_chat_arrives_whole(server, model):
    server.reply("short")

    assert model.respond(big_chat()).content == "short"

    (request,) = server.received(endpoint="predict")
    (_, message) = request["creationParameter"]["history"]["messages"]
    assert message["content"][0]["text"] == "long " * 2_000_000


def test_a_long_chat_that_is_cancelled_while_it_is_sent_was_never_asked(server, client, model):
    connection = pause(server, "/llm")
    stream = model.respond_stream(big_chat())
    stream.start()
    link = client._session.dispatcher._ports["llm"]
    eventually(lambda: link.transport.wants_to_write)

    assert stream.cancel("too long")

    result = stream.result()  # at once: nothing will come that it could wait for
    assert (result.cancelled, result.acknowledged, result.content) == (True, False, "")
    connection.resume()
    assert model.count_tokens("a b") == 2
    assert not server.predictions
    assert not server.received(type="channelSend")
    assert len(connection.malformed) == 1


def test_a_cancel_beside_a_long_chat_comes_right_after_it(server, client, model):
    server.hold("predict")
    first = model.respond_stream("hi")
    first.start()
    call = server.expect("predict")
    connection = pause(server, "/llm")
    second = Worker(model.respond, big_chat())
    link = client._session.dispatcher._ports["llm"]
    eventually(lambda: link.transport.wants_to_write)

    first.cancel()
    third = Worker(model.count_tokens, "a b")
    eventually(lambda: link._waiting)
    connection.resume()

    call.expect_cancel()
    call.success("userStopped")
    server.expect("predict").success()
    assert first.result().acknowledged
    assert second.result()
    assert third.result() == 2
    kinds = [(message["type"], message.get("endpoint")) for message in connection.messages]
    assert kinds[-3:] == [
        ("channelCreate", "predict"),
        ("channelSend", None),
        ("rpcCall", "countTokens"),
    ]
