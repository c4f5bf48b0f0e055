"""What fails of the official suite, and why: the one list that is to become shorter."""

# The suite is newer than the official package that `make` installs.
_TOKENS = ("missing-token-prefix", "sk-lm-missing-id-and-key-separator")
_TOKENS += ("sk-lm-invalid_id:invalid_key", "sk-lm-idtoolong:abcDEF7890abcDEF7890")
_TOKENS += ("sk-lm-abcDEF78:keytooshort",)
_ENDINGS = ("default", "empty_token", "empty_token_from_env", "valid_token", "valid_token_from_env")
OLD_OFFICIAL = {
    "1.5.0 knows no API tokens": [
        f"test_sessions.py::test_auth_message_{test}{client}]"
        for client in ("AsyncClient", "Client")
        for test in (
            *(f"{ending}[" for ending in _ENDINGS),
            *(f"invalid_token[{one}-" for one in _TOKENS),
            *(f"invalid_token_from_env[{one}-" for one in _TOKENS),
        )
    ],
}
# Differences that are meant: each key is the first cell of a row of docs/differences.md.
ROWS = {
    "`configure_default_client()`, and `get_default_client()` with a host, may be called again. "
    "For the same server and token nothing changes. A client that is replaced stays usable for "
    "code that holds it": [
        "test_convenience_api.py::test_configure_default_client",
        "test_convenience_api.py::test_get_default_client",
    ],
    "`repr(chat)` says how many messages it has": [
        "test_history.py::test_chat_display",
    ],
    "`mainGpu` is sent with every split strategy": [
        "test_kv_config.py::test_kv_stack_load_config_embedding[config_dict0]",
        "test_kv_config.py::test_kv_stack_load_config_embedding[config_dict1]",
    ],
    "options that `autoFit` would override switch it off": [
        "test_kv_config.py::test_gpu_split_strategy_config[evenly]",
        "test_kv_config.py::test_gpu_split_strategy_config[favorMainGpu]",
        "test_kv_config.py::test_kv_stack_load_config_llm[config_dict0]",
        "test_kv_config.py::test_kv_stack_load_config_llm[config_dict1]",
    ],
}

# Not failures: these pass but for a traceback that is not cut at the package's edge, which
# plugin.py tells the suite not to expect.
_WHOLE = (
    "embedding_{0}.py::test_invalid_model_request_{0}",
    "inference_{0}.py::test_invalid_model_request_nostream_{0}",
    "inference_{0}.py::test_invalid_model_request_stream_{0}",
    "inference_{0}.py::test_invalid_preset_request_nostream_{0}",
    "inference_{0}.py::test_invalid_preset_request_stream_{0}",
    "llm_{0}.py::test_invalid_model_request_{0}",
    "model_catalog_{0}.py::test_invalid_unload_request_embedding_{0}",
    "model_catalog_{0}.py::test_invalid_unload_request_llm_{0}",
)
TRACEBACKS = {
    "tracebacks are complete": [
        *(f"{half}/test_{name.format(half)}" for half in ("sync", "async") for name in _WHOLE),
        "test_history.py::test_invalid_local_file",
    ],
}


def of(package):
    """The reason of each failure that is known, by the name of the test."""
    groups = {
        "official": [("version: ", OLD_OFFICIAL)],
        "checkout": [],  # the suite's own version
        "ours": [("row of docs/differences.md: ", ROWS)],
    }[package]
    return {
        name: prefix + reason
        for prefix, group in groups
        for reason, names in group.items()
        for name in names
    }
