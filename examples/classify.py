"""Classify the rows of a CSV file by the models of several hosts; what was stopped is continued.

classify.py ROWS.csv OUT.csv HOST [HOST ...]

It needs `pip install pydantic`. Each host must be running, with a model loaded, when the program
starts; a host that is lost later is waited for. After Ctrl-C or a crash, run the same command
again: it continues, and asks nothing twice. OUT.csv is replaced only at the end.
"""

import csv
import os
import sys

import pydantic

import lmstudio as lms


class Label(pydantic.BaseModel):
    topic: str
    is_complaint: bool


source, target, *hosts = sys.argv[1:]
with open(source, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
models = [lms.Client(host).llm.model() for host in hosts]
journal = lms.BatchJournal(f"{target}.journal", input_id=lambda row: row["id"])
ask = {"to_prompt": "Topic? A complaint? Message: {text}".format_map, "response_format": Label}
batch = lms.respond_many(models, rows, journal=journal, ordered=True, retries=5, timeout=120, **ask)
try:
    with open(f"{target}.new", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["id", "topic", "is_complaint", "error"])
        table.writeheader()
        for outcome in batch:
            label = {"error": outcome.error} if outcome.error else dict(outcome.result.typed)
            table.writerow({"id": outcome.input["id"], **label})
    os.replace(f"{target}.new", target)
finally:
    print(batch.numbers)
