"""Runs one function of one benchmark and prints what it returns as JSON, for `common.run_child`.

child.py THEME FUNCTION ARGUMENTS_AS_JSON
"""

import importlib
import json
import os
import sys


def main():
    """Run it, and leave without waiting for anything that is still open."""
    theme, function, arguments = sys.argv[1:]
    result = getattr(importlib.import_module(theme), function)(**json.loads(arguments))
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
