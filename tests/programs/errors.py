"""The errors that a program meets, and the classes it catches them by."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    try:
        client.llm.model("no-such-model")
    except lms.LMStudioServerError as error:
        print("server", "no-such-model" in str(error), error.server_error is not None)
    try:
        model.respond("hi")
    except lms.LMStudioServerError as error:
        print("server", "Scripted failure" in str(error), error.server_error.title)
    try:
        lms.Chat.from_history(5)
    except lms.LMStudioValueError as error:
        print("value", isinstance(error, ValueError))
    try:
        chat = lms.Chat("a")
        chat.add_system_prompt("b")
    except lms.LMStudioRuntimeError as error:
        print("runtime", isinstance(error, RuntimeError))
    try:
        model.respond("hi", preset="no such preset")
    except lms.LMStudioPresetNotFoundError:
        print("preset")
    print(model.respond("hi again"))
