"""Loads, lists and unloads models and instances."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    print(sorted(m.identifier for m in client.list_loaded_models()))
    vision = client.llm.model("test-vlm", ttl=600)
    second = client.llm.load_new_instance("test-llm", "second", config={"contextLength": 1024})
    third = client.llm.load_new_instance("test-llm", "third", ttl=None)
    print(sorted(m.identifier for m in client.llm.list_loaded()))
    print(second.get_context_length(), second.get_load_config().context_length)
    print(second == client.llm.model("second"), second == third)
    second.unload()
    client.llm.unload("third")
    vision.unload()
    print(sorted(m.identifier for m in client.llm.list_loaded()))
