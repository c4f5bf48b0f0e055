"""Nodes of an image tool: connect, load, chat, unload; each opens a client of its own (ComfyUI).

After the manner of zetaneko/comfy-lmstudio, src/comfyui_lmstudio/nodes.py.
"""

import sys

import lmstudio as lms


class Connection:
    def connect(self, server_host, auto_discover="disabled"):
        if lms.Client.is_valid_api_host(server_host):
            return {"host": server_host, "discovered": False}, "Connected"
        return None, f"Failed to connect to LM Studio server at {server_host}"


class LoadModel:
    def load_model(self, connection, model_key, load_mode, instance_id="", seed=0, ttl=0):
        if connection is None:
            return None, "Error: No valid connection provided"
        try:
            with lms.Client(connection["host"]) as client:
                before = len(client.llm.list_loaded())
                config = {}
                if seed > 0:
                    config["seed"] = seed
                if ttl > 0:
                    config["ttl"] = ttl
                if load_mode == "load_new_instance":
                    model = client.llm.load_new_instance(
                        model_key, instance_id or None, config=config if config else None
                    )
                else:
                    model = client.llm.model(model_key, config=config if config else None)
                after = len(client.llm.list_loaded())
                handle = {
                    "host": connection["host"],
                    "model_key": model_key,
                    "instance_id": getattr(model, "instance_id", None) or model.identifier,
                }
                return handle, f"Loaded: {before} -> {after}"
        except Exception as error:
            known = isinstance(error, lms.LMStudioServerError) and "not found" in str(error)
            return None, f"Failed to load model {model_key}: {known}"


class Chat:
    def respond(self, model, prompt, system_prompt="", temperature=0.7, max_tokens=0, image=None):
        client = lms.Client(model["host"])
        try:
            chat = lms.Chat(system_prompt) if system_prompt else lms.Chat()
            handle = client.prepare_image(image, "node.png") if image else None
            chat.add_user_message(prompt, images=[handle] if handle else [])
            config = {"temperature": temperature, "topP": 0.9, "frequencyPenalty": 0.1}
            if max_tokens > 0:
                config["maxTokens"] = max_tokens
            result = client.llm.model(model["instance_id"]).respond(chat, config=config)
            return result.content, f"{result.stats.predicted_tokens_count} tokens"
        finally:
            client.close()


class UnloadModel:
    def unload_model(self, model):
        client = lms.Client(model["host"])
        try:
            for loaded in client.llm.list_loaded():
                key = None
                if hasattr(loaded, "model_info"):
                    key = getattr(loaded.model_info, "path", None)
                key = key or getattr(loaded, "path", None) or getattr(loaded, "identifier", None)
                if key == model["instance_id"]:
                    loaded.unload()
                    return f"Unloaded {key}"
            return f"Not loaded: {model['instance_id']}"
        finally:
            client.close()


connection, status = Connection().connect(sys.argv[1])
print(connection["discovered"], status)
print(Connection().connect("127.0.0.1:9"))
print(LoadModel().load_model(None, "test-llm", "get_or_load"))
print(LoadModel().load_model(connection, "no-such-model", "get_or_load"))
writer, status = LoadModel().load_model(connection, "test-llm", "get_or_load", seed=7, ttl=600)
print(status, writer["instance_id"])
viewer, status = LoadModel().load_model(connection, "test-vlm", "load_new_instance", "eyes", seed=3)
print(status, viewer["instance_id"])
print(Chat().respond(writer, "a cat, a hat", "Turn tags into a caption.", 0.2, 40))
print(Chat().respond(viewer, "What is on it?", image=b"\x89PNG\r\n\x1a\n" + bytes(40)))
print(UnloadModel().unload_model(viewer))
print(UnloadModel().unload_model(viewer))
