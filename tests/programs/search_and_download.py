"""A model manager: finds a model, downloads the form that fits best, loads it and talks to it."""

import sys

import lmstudio as lms


def best(options):
    """The recommended form, else the smallest that fits."""
    recommended = [option for option in options if option.info.recommended]
    fitting = [option for option in options if option.info.fit_estimation != "willNotFit"]
    return (recommended or sorted(fitting, key=lambda option: option.info.size_bytes))[0]


with lms.Client(sys.argv[1]) as client:
    repository = client.repository
    try:
        repository.search_models()
    except lms.LMStudioValueError as error:
        print("search for something", isinstance(error, ValueError))
    print(repository.search_models("no such model"))
    print(repository.search_models(search_term="tiny"))
    (model,) = repository.search_models("tiny llm", limit=5, compatibility_types=["gguf"])
    print(model.search_result)
    print(model.search_result.identifier.type, model.search_result.to_dict())

    option = best(model.get_download_options())
    print(option)
    key = option.download()
    print(key, option.download() == key)
    print([entry.model_key for entry in client.list_downloaded_models("llm")])
    handle = client.llm.model(key)
    print(handle, bool(handle.respond("Hi.").content))
    handle.unload()
