"""Lists in which forms the models of the repository are offered, and filters them."""

import sys

import lmstudio as lms

client = lms.Client(sys.argv[1])
for model in client.repository.search_models(limit=25):
    result = model.search_result
    print(result.name, "*" if result.staff_pick else "", result.exact)
    for option in model.get_download_options():
        info = option.info
        size = f"{info.size_bytes / 1e6:.1f} MB"
        print("  ", info.quantization, size, info.fit_estimation, bool(info.recommended))
        print("  ", info.download_identifier, info.indexed_model_identifier)
for formats in (["gguf"], ["safetensors"], ["onnx", "ggml"]):
    found = client.repository.search_models(compatibility_types=formats)
    print(formats, [model.search_result.name for model in found])
print(len(client.repository.search_models("test", 2)))
(model,) = client.repository.search_models("vlm")
print(model.get_download_options())
small = [o for o in model.get_download_options() if "4bit" in o.info.download_identifier]
print([option.info.name for option in small])
client.close()
