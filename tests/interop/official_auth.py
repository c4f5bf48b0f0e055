"""Coming in: as a guest, and with the identity that an API token stands for."""

import sys

from official_shared import HOST, lms, show

TOKEN = sys.argv[2]


class TokenClient(lms.Client):
    """What later versions do with a token; this one has no option for it."""

    def _create_auth_message(self):
        return self._format_auth_message(*TOKEN.removeprefix("sk-lm-").split(":"))


try:
    with lms.Client(HOST) as client:
        client.llm.list_loaded()
except (lms.LMStudioServerError, ValueError):  # 1.5.0 stumbles over the words of the refusal
    show("guest", "refused")

with TokenClient(HOST) as client:
    show("llms", [model.identifier for model in client.llm.list_loaded()])
    show("embedding models", [model.identifier for model in client.embedding.list_loaded()])
    show("reply", client.llm.model().respond("Hi.").content)
