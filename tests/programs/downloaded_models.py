"""Lists what is downloaded, and loads one of the listed models."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
for model in lms.list_downloaded_models():
    print(model.type, model.model_key, model.path, model.info.display_name)
print([m.model_key for m in lms.list_downloaded_models("llm")])
print(lms.list_downloaded_models("embedding"))
listed = [m for m in lms.list_downloaded_models("llm") if m.info.vision][0]
handle = listed.load_new_instance(instance_identifier="eyes")
print(handle, handle.get_info().vision)
print(lms.list_loaded_models("llm"))
