"""What a client offers is shown by its name and its server, never by the path of a file."""

import lmstudio as lms


def test_namespaces_show_their_server(server, client):
    offered = {
        "LlmNamespace": client.llm,
        "EmbeddingNamespace": client.embedding,
        "SystemNamespace": client.system,
        "RepositoryNamespace": client.repository,
        "FilesNamespace": client.files,
    }

    for name, namespace in offered.items():
        assert repr(namespace) == f"<{name} of {server.host}>"


def test_namespaces_of_a_client_that_was_not_used_say_so():
    client = lms.Client()

    assert repr(client.llm) == "<LlmNamespace of a server that was not looked for yet>"
    assert repr(client.files) == "<FilesNamespace of a server that was not looked for yet>"


def test_iterators_show_what_they_read(server, client):
    model = client.llm.model()
    stream = model.respond_stream("Hi")
    fragments = iter(stream)

    assert len(list(fragments)) > 0
    assert repr(fragments) == f"<iterator of {stream!r}>"
    batch = model.respond_many(["a"])
    outcomes = iter(batch)
    assert repr(outcomes) == f"<iterator of {batch!r}>"
    assert len(list(outcomes)) == 1
