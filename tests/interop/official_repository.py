"""The repository: searching a model, downloading it with progress, and using it."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    found = client.repository.search_models("tiny")
    show("found", [entry.search_result.name for entry in found])
    show("nothing", len(client.repository.search_models("no such model")))
    show("limited", len(client.repository.search_models("test", limit=2)))

    options = found[0].get_download_options()
    for option in options:
        info = option.info
        show("option", info.name, info.quantization, info.size_bytes, bool(info.recommended))

    sizes = []
    finalized = []
    key = options[0].download(
        on_progress=lambda update: sizes.append([update.downloaded_bytes, update.total_bytes]),
        on_finalize=lambda: finalized.append(True),
    )
    show("progress", sizes)
    show("downloaded", key, finalized)
    show("llms", [model.model_key for model in client.llm.list_downloaded()])
    show("reply", client.llm.model(key).respond("Hi.").content)
