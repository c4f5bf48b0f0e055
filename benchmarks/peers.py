"""Streaming with this package, with LM Studio's own, and with the clients of two other APIs."""

import clients
import common
from common import OFFICIAL, OLLAMA, OPENAI, OURS, Section

COUNTS = {OURS: 20_000, OFFICIAL: 3_000, OPENAI: 5_000, OLLAMA: 5_000}


# -- in the child -------------------------------------------------------------------------------


def stream(variant, host, count):
    """CPU and wall time per fragment of the second stream."""
    start = {OPENAI: with_openai, OLLAMA: with_ollama}.get(variant, with_lmstudio)(host)
    for _ in range(2):
        pieces = start(f"bench:burst:{count}")
        clock = clients.Clock()
        assert sum(text == " word" for text in pieces) == count
    return clock.per(count)


def with_lmstudio(host):
    """This package or the official one."""
    model = clients.model(host)
    return lambda prompt: (fragment.content for fragment in model.respond_stream(prompt))


def with_openai(host):
    """The client of OpenAI's API."""
    from openai import OpenAI

    client = OpenAI(base_url=f"http://{host}/v1", api_key="none")

    def start(prompt):
        messages = [{"role": "user", "content": prompt}]
        chunks = client.chat.completions.create(model="load", messages=messages, stream=True)
        return (chunk.choices[0].delta.content for chunk in chunks)

    return start


def with_ollama(host):
    """The client of Ollama's API."""
    import ollama

    client = ollama.Client(f"http://{host}")

    def start(prompt):
        messages = [{"role": "user", "content": prompt}]
        chunks = client.chat(model="load", messages=messages, stream=True)
        return (chunk.message.content for chunk in chunks)

    return start


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Beside other clients")

    def case(variant):
        return lambda: common.run_child(variant, stream, host=host, count=scale(COUNTS[variant]))

    with common.load_server() as host:
        found = common.in_turn(rounds, {v: case(v) for v in common.here(*COUNTS)})
    rows = []
    for name, samples in found.items():
        factor = common.ratio(samples, found[OURS], "cpu")
        cells = [common.spread(samples, key) for key in ("cpu", "wall")]
        rows.append([name, *cells, common.number(factor)])
        if name in (OPENAI, OLLAMA):
            section.bar(f"CPU of one fragment: {name}", factor, name)
    section.text.append(
        "One stream, µs per fragment. openai and ollama read the same words over HTTP, as "
        "server-sent events and as lines of JSON, from the same server:"
    )
    section.table(["", "CPU", "wall", "CPU, this package = 1"], rows)
    missing = [name for name in COUNTS if name not in found]
    if missing:
        section.text.append(f"Not installed here: {', '.join(missing)}.")
    return section
