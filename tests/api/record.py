"""The record of the public API, and whether the changelog announces what changes.

Two files have a line for each public name, parameter and field: public_api.txt has what there is
now, last_version.txt what there was in the newest version of CHANGELOG.md. What differs must be
announced there under [Unreleased] (CONTRIBUTING.md says how).

    python tests/api/record.py            tells what is not on record, and what is not announced
    python tests/api/record.py --write    puts what there is on record
    python tests/api/record.py --release  and, if all is announced, lets it be the last version's
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from api.announced import Changes
from api.public_api import describe

HERE = Path(__file__).parent
NOW, BEFORE = HERE / "public_api.txt", HERE / "last_version.txt"
CHANGELOG = HERE.parents[1] / "CHANGELOG.md"
HEADER = "# The public API; tests/api/record.py writes this file."


def read(file):
    """A record: by the path of each name, what is said of it."""
    lines = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            path, _, text = line.partition(": ")
            lines.setdefault(path, []).append(text)
    return lines


def write(file, lines):
    rows = [f"{path}: {text}" for path, texts in lines.items() for text in texts]
    file.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")


def differences(before, now):
    """The lines that went and came, with - and + before them."""
    for path in sorted({*before, *now}):
        old, new = before.get(path, []), now.get(path, [])
        yield from (f"- {path}: {text}" for text in old if text not in new)
        yield from (f"+ {path}: {text}" for text in new if text not in old)


def problems(now, recorded, before, changelog):
    """What is to be done about a record, in words; nothing, if all is well."""
    rows = "\n  ".join(differences(recorded, now))
    if rows:
        yield (
            f"The public API is not what {NOW.name} says:\n  {rows}\n"
            "If that is what you want: announce it in CHANGELOG.md under [Unreleased], then run\n"
            "  python tests/api/record.py --write"
        )
    missing = Changes(before, now, changelog).unannounced()
    if missing:
        rows = "\n  ".join(f"{kind:8} {path}" for path, kind in missing.items())
        yield (
            f"No entry of CHANGELOG.md under [Unreleased] announces:\n  {rows}\n"
            "One entry names every part of such a path in backticks: `Client.close(timeout=)`.\n"
            "What was removed stands under ### Removed. More: CONTRIBUTING.md, The public API."
        )


def main(arguments=None):
    parser = argparse.ArgumentParser(description="The record of the API.", allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="put what there is on record")
    parser.add_argument("--release", action="store_true", help="and let it be the last version's")
    options = parser.parse_args(arguments)
    now = describe()
    if options.write or options.release:
        write(NOW, now)
    found = list(problems(now, read(NOW), read(BEFORE), CHANGELOG.read_text(encoding="utf-8")))
    if options.release and not found:
        write(BEFORE, now)
    print("\n\n".join(found) or f"{NOW.name} has all, and CHANGELOG.md announces what is new.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
