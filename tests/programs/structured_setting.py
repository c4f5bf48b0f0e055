"""A structured reply asked for through the configuration."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    result = client.llm.model().respond(
        "hi",
        config={
            "structured": {
                "type": "json",
                "jsonSchema": {
                    "type": "object",
                    "properties": {"ok": {"type": "boolean"}},
                    "required": ["ok"],
                },
            }
        },
    )
    print(sorted(result.parsed) if isinstance(result.parsed, dict) else result.parsed)
