"""Follows the rounds of an agent that must come to an end after three."""

import sys

import lmstudio as lms

log = []


def look_up(word: str) -> str:
    """Look up a word."""
    return {"lamp": "a light", "reef": "rocks under water"}.get(word, "unknown")


def completed(result):
    log.append(("completed", result.round_index, result.content, result.stats.stop_reason))
    print(type(result).__name__, isinstance(result, lms.PredictionResult))


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    result = model.act(
        "Explain lamp and reef.",
        [look_up],
        max_prediction_rounds=3,
        config={"temperature": 0.5, "maxTokens": 50},
        on_round_start=lambda index: log.append(("start", index)),
        on_round_end=lambda index: log.append(("end", index)),
        on_first_token=lambda index: log.append(("first token", index)),
        on_prediction_fragment=lambda f, index: log.append(("fragment", f.content, index)),
        on_prediction_completed=completed,
        on_message=lambda message: log.append(("message", message.role, len(message.content))),
    )
    print(*log, sep="\n")
    print(result.rounds)

    try:  # in the last round the model has no tools, and asks for one all the same
        model.act("Again.", [look_up], max_prediction_rounds=1)
    except lms.LMStudioPredictionError as error:
        print("refused:", error)
    for wrong in (0, -1):
        try:
            model.act("Again.", [look_up], max_prediction_rounds=wrong)
        except lms.LMStudioValueError:
            print("not", wrong, "rounds")
    try:
        model.act("Again.", [])
    except lms.LMStudioValueError:
        print("no tools")
