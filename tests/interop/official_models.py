"""Models: what is there, loading with progress, several instances, unloading."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    show("downloaded", [[model.model_key, model.type] for model in client.list_downloaded_models()])
    show("llms", [model.model_key for model in client.llm.list_downloaded()])
    show("embedding models", [model.model_key for model in client.embedding.list_downloaded()])
    show("loaded", [model.identifier for model in client.llm.list_loaded()])

    progress = []
    model = client.llm.model("test-vlm", on_load_progress=progress.append)
    show("load", model.identifier, progress)
    info = model.get_info()
    show("info", info.display_name, info.vision, info.trained_for_tool_use, info.size_bytes)
    show("same instance", client.llm.model("test-vlm").identifier)

    progress = []
    second = client.llm.load_new_instance(
        "test-llm",
        "second",
        ttl=60,
        config={"contextLength": 2048},
        on_load_progress=progress.append,
    )
    show("new instance", second.identifier, progress)
    show("context length", second.get_context_length())
    show("not so named", client.llm.load_new_instance("test-llm").identifier)
    show("loaded", [model.identifier for model in client.llm.list_loaded()])

    second.unload()
    client.llm.unload("test-vlm")
    show("loaded", [model.identifier for model in client.llm.list_loaded()])
    show("embedding", [model.identifier for model in client.embedding.list_loaded()])
