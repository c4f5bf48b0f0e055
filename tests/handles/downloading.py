"""What the tests of downloads share."""

OPTION = {"name": "Tiny", "downloadIdentifier": "testing/tiny-llm@q4_k_m"}


def sent(server, client):
    """What kinds of packets the client has sent into downloads so far."""
    client.repository.search_models("tiny")  # on the same connection: all before it has arrived
    return [m["message"]["type"] for m in server.received("channelSend", path="/repository")]
