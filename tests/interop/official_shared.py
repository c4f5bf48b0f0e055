"""What the programs of the official Python client share: the server's address, and one output."""

import json
import sys

import lmstudio as lms

assert lms.__version__ == "1.5.0", f"this is not the official client: {lms.__file__}"

HOST = sys.argv[1]


def show(label, *values):
    """Print a line that the JavaScript programs print exactly so: a label, and values as JSON."""
    texts = [json.dumps(to_json_data(value), separators=(",", ":")) for value in values]
    print(label + ":", *texts, flush=True)


def to_json_data(value):
    """The value with its whole numbers as JavaScript writes them, without a point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (list, tuple)):
        return [to_json_data(item) for item in value]
    return value


def title_of(error):
    """What the server called the error."""
    return error.server_error.title
