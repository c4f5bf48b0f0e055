"""Ask one question about each line of a file, four at a time; Ctrl-C keeps what is finished.

batch.py FILE [--host HOST] [--parallel N]
"""

import argparse
import sys

import lmstudio as lms

QUESTION = "Say in three words what this is about: "


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("file", type=argparse.FileType("r"))
    parser.add_argument("--host", help="host:port of an LM Studio")
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args()
    failed = 0
    with lms.Client(options.host) as client:
        questions = (QUESTION + line.strip() for line in options.file)  # read as it goes
        batch = client.llm.model().respond_many(questions, max_parallel=options.parallel)
        try:
            for index, outcome in batch:
                failed += isinstance(outcome, lms.LMStudioError)
                print(f"{index + 1}: {outcome}", flush=True)
        except KeyboardInterrupt:
            for index, outcome in batch:  # what had finished, and what the others have so far
                if not isinstance(outcome, lms.LMStudioError) and not outcome.cancelled:
                    print(f"{index + 1}: {outcome}", flush=True)
            print("Stopped.", file=sys.stderr)
            return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
