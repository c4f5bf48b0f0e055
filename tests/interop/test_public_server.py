"""What the embedded server warns of, held beside LM Studio's own public server classes.

They are in the repository lmstudio-ai/lmstudio-js, and nothing of them is here: name a checkout in
LMSTUDIO_JS_CHECKOUT. `public_server` makes good and bad messages, which must draw the same answers.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from interop.node import node_command
from interop.public_server import messages
from interop.test_javascript_suite import CHECKOUT, MODULES, checkout  # noqa: F401
from server.raw_client import RawClient

from lmstudio.testing import Server
from lmstudio.testing._protocol.shapes import CHANNELS, RPCS, UNHANDLED_CHANNELS, UNHANDLED_RPCS

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]

HERE = Path(__file__).parent / "public_server"
COUNT = 1000  # connections
LIMIT = 100.0
SHOWN = 3


def real_answers(checkout, conversations, folder):  # noqa: F811
    """What LM Studio's classes send, for each conversation."""
    environment = {**os.environ, "NODE_PATH": str(MODULES), "FORCE_COLOR": "0"}
    program = folder / "rig.cjs"
    node = node_command()
    made = subprocess.run(
        [node, HERE / "build.mjs", checkout, program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert made.returncode == 0, made.stderr
    tables = (UNHANDLED_RPCS, UNHANDLED_CHANNELS)
    unhandled = [name for table in tables for names in table.values() for name in names]
    done = subprocess.run(
        [node, program, json.dumps(unhandled)],
        env=environment,
        input="".join(json.dumps(one) + "\n" for one in conversations),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(conversations), done.stderr
    return answers


def our_answers(server, conversation):
    """What the embedded server sends."""
    with RawClient(server, conversation["namespace"]) as client:
        for frame in conversation["frames"]:
            client.send(frame)
        client.send({"type": "rpcCall", "endpoint": END, "callId": 0})
        answers = []
        while not (answers and END in answers[-1].get("warning", "")):
            answers.append(client.recv())
        return answers[:-1]


END = "theEndOfTheConversation"


def test_good_and_bad_messages_draw_the_answers_of_lm_studios_own_classes(checkout, tmp_path):  # noqa: F811
    if not (MODULES / "superjson").is_dir():
        pytest.skip("what LM Studio's classes need is not here: `make interop` installs it")
    seed = int(os.environ.get("LMSTUDIO_SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    conversations = [messages.conversation(dice) for _ in range(COUNT)]
    endpoints = {name: [*RPCS[name], *CHANNELS[name]] for name in RPCS}
    held = [f"{name}/{one}" for name, some in endpoints.items() for one in some]
    different = []
    with Server(hold=held) as server:
        expected = real_answers(checkout, conversations, tmp_path)
        for conversation, answers in zip(conversations, expected, strict=True):
            ours = our_answers(server, conversation)
            if ours != answers:
                different.append(f"{conversation}\nours: {ours}\nreal: {answers}")
    if different:
        text = "\n\n".join(different[:SHOWN])
        pytest.fail(f"LMSTUDIO_SEED={seed}: {len(different)} differ\n\n{text}", pytrace=False)
