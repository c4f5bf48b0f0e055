"""Classify the rows of a CSV file by the models of several hosts; what was stopped goes on.

classify.py ROWS.csv OUT.csv HOST [HOST ...]

Ctrl-C, a crash, a host that is restarted: the same command goes on, and asks nothing twice.
"""

import csv
import sys

import pydantic

import lmstudio as lms

ASK = "Name the topic of this message, and say whether it is a complaint: {text}"


class Label(pydantic.BaseModel):
    topic: str
    is_complaint: bool


source, target, *hosts = sys.argv[1:]
with open(source, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
models = [lms.Client(host).llm.model() for host in hosts]
journal = lms.BatchJournal(f"{target}.journal", input_id=lambda row: row["id"])
limits = {"retries": 5, "timeout": 120.0, "to_prompt": lambda row: ASK.format_map(row)}
batch = lms.respond_many(
    models, rows, response_format=Label, max_parallel=8, ordered=True, journal=journal, **limits
)
try:
    with open(target, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        for outcome in batch:
            label = None if outcome.error else outcome.result.typed
            table.writerow([outcome.input["id"], *dict(label or {}).values(), outcome.error])
finally:
    print(batch.numbers)
