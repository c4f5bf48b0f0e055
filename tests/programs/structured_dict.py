"""A reply that fits a JSON schema, as a dict."""

import sys

import lmstudio as lms

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["title", "year"],
}
lms.configure_default_client(sys.argv[1])
result = lms.llm().respond("Tell me about The Hobbit", response_format=SCHEMA)
print(type(result.parsed).__name__, sorted(result.parsed), result.structured)
print(result)
