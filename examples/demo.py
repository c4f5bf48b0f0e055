"""Stream a reply and stop it from another thread: in the middle, and before the first token.

Uses the LM Studio at --host, or one that runs on this machine; without one, an embedded server
with a real model (SmolLM2).
"""

import argparse
import contextlib
import sys
import threading

import lmstudio as lms

PROMPT = "Tell me a long story about a lighthouse."
LONG_PROMPT = "Summarise this: " + "The sea was calm, and the light turned. " * 60


def find_server(host: str | None, stack: contextlib.ExitStack) -> str:
    """Return the host of a server: the given one, a running one, or an embedded one."""
    if host is not None:
        return host
    running = lms.Client.find_default_local_api_host()
    if running is not None:
        print(f"Using the LM Studio at {running}.")
        return running
    from lmstudio.testing import LlamaEngine, Server, find_smollm2

    model = find_smollm2()
    if model is None:
        raise SystemExit("No LM Studio is running, and no model is installed. Run: make demo")
    print("No LM Studio is running here. Starting the embedded server with SmolLM2 (135 M).")
    return stack.enter_context(Server(engine=LlamaEngine(model))).host


def show(result: lms.PredictionResult) -> None:
    """Print what a stopped prediction left."""
    stats = result.stats
    print(f"\n  text      {len(result.content)} characters: {result.content[:60]!r}...")
    print(f"  cancelled {result.cancelled} (reason: {result.cancel_reason})")
    print(f"  stopped   {stats.stop_reason}, confirmed by the server: {result.acknowledged}")
    print(
        f"  stats     {stats.prompt_tokens_count} prompt tokens, "
        f"{stats.predicted_tokens_count} predicted tokens"
    )


def stop_in_the_middle(model: lms.LLM) -> None:
    """Set the event from another thread once a few fragments are on the screen."""
    print("\n1. Stop in the middle of a reply\n")
    stop, enough = threading.Event(), threading.Event()
    watcher = threading.Thread(target=lambda: enough.wait(60) and stop.set())
    watcher.start()
    stream = model.respond_stream(PROMPT, cancel_event=stop)
    for count, fragment in enumerate(stream, start=1):
        print(fragment.content, end="", flush=True)
        if count == 20:
            enough.set()  # the other thread sets the event now
    enough.set()
    watcher.join()
    show(stream.result())


def stop_before_the_first_token(model: lms.LLM) -> None:
    """Set the event from another thread while the prompt is still being processed."""
    print("\n2. Stop while a long prompt is being processed (no token yet)\n")
    stop, started = threading.Event(), threading.Event()
    watcher = threading.Thread(target=lambda: started.wait(60) and stop.set())
    watcher.start()

    def on_progress(progress: float) -> None:
        print(f"  prompt processed: {progress:.0%}", flush=True)
        if progress > 0:
            started.set()  # the other thread sets the event now

    result = model.respond(
        LONG_PROMPT, cancel_event=stop, on_prompt_processing_progress=on_progress
    )
    started.set()
    watcher.join()
    show(result)


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--host", help="host:port of an LM Studio")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        try:
            host = find_server(arguments.host, stack)
            client = stack.enter_context(lms.Client(host))
            model = client.llm.model()
            print(f"Model: {model.identifier}")
            stop_in_the_middle(model)
            stop_before_the_first_token(model)
        except lms.LMStudioError as error:
            print(f"The demo cannot go on: {error}", file=sys.stderr)
            return 1
    print("\nBoth were stopped, and what had arrived was kept.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
