"""What streams and results look like in a notebook."""


def test_a_result_is_rendered_with_its_reasoning_folded(server, model):
    server.reply("It is **green**.", reasoning="Hm.")
    text = model.respond("hi")._repr_markdown_()
    assert text.endswith("</details>\n\nIt is **green**.")
    assert "<summary>Reasoning</summary>\n\nHm." in text


def test_a_structured_result_is_rendered_as_json(server, model):
    server.reply('{"name": "Ada"}')
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    text = model.respond("hi", response_format=schema)._repr_markdown_()
    assert text == '```json\n{\n  "name": "Ada"\n}\n```'


def test_a_stream_is_rendered_as_far_as_it_was_read_and_is_not_started_by_that(server, model):
    stream = model.respond_stream("hi")
    assert stream._repr_markdown_() == "*(not started)*"
    assert not server.predictions
    server.hold("predict")
    stream.start()
    iterator = iter(stream)
    call = server.expect("predict")
    call.fragment("one ")
    next(iterator)
    assert stream._repr_markdown_() == "one \n\n*(running)*"
    stream.cancel("enough")
    call.expect_cancel()
    call.success("userStopped")
    assert stream.result()._repr_markdown_() == "one \n\n*(stopped: enough)*"
    assert stream._repr_markdown_() == "one \n\n*(ended, cancelled)*"
