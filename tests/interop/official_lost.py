"""The connection breaks in the middle of a reply; a new client goes on."""

import logging

from official_shared import HOST, lms, show

logging.getLogger().addHandler(logging.NullHandler())  # it would log the loss to stderr

contents = []
try:
    with lms.Client(HOST) as client:
        for fragment in client.llm.model().respond_stream("Hi."):
            contents.append(fragment.content)
except lms.LMStudioError as error:
    show("lost", contents, isinstance(error, lms.LMStudioWebsocketError))

with lms.Client(HOST) as client:
    show("afterwards", client.llm.model().respond("Are you there?").content)
