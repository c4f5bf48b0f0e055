"""_json."""
