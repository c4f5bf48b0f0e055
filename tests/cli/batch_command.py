"""The command `batch` over files of a folder, and what it leaves there."""

import csv
import io
import json
import subprocess
import sys

from cli.commands import LIMIT


class Files:
    """An input, an output, its journal, and the command over them."""

    def __init__(self, folder, hosts, count=12, form="jsonl"):
        self.folder, self.hosts, self.form = folder, hosts, form
        self.input, self.output = folder / f"in.{form}", folder / f"out.{form}"
        self.journal = folder / f"out.{form}.journal"
        if form == "csv":
            self.write_csv([["nr", "prompt"], *([n, f"Question {n}"] for n in range(1, count + 1))])
        else:
            rows = ({"nr": n, "prompt": f"Question {n}"} for n in range(1, count + 1))
            self.write(map(json.dumps, rows))

    def write(self, lines):
        self.input.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def write_csv(self, rows, encoding="utf-8", **dialect):
        text = io.StringIO()
        csv.writer(text, **dialect).writerows(rows)
        self.input.write_text(text.getvalue(), encoding=encoding, newline="")

    def start(self, *options, input=None, output=None, text=True, **more):
        hosts = [part for host in self.hosts for part in ("--host", host)]
        names = [input or self.input, output or self.output, *hosts]
        return subprocess.Popen(
            [sys.executable, "-m", "lmstudio", "batch", *map(str, [*names, *options])],
            **{"stdin": subprocess.DEVNULL, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=text,
        )

    def run(self, *options, code=0, **more):
        """Run it to its end; what it said on stderr, without the time."""
        process = self.start(*options, **more)
        output, errors = process.communicate(timeout=LIMIT)
        assert (process.returncode, output) == (code, ""), errors
        assert "Traceback" not in errors
        return errors

    def pipe(self, data, *options, code=0, output="-"):
        """Run it with bytes as standard input; what it wrote to standard output, and said."""
        process = self.start(*options, input="-", output=output, text=False, stdin=subprocess.PIPE)
        out, errors = process.communicate(data, timeout=LIMIT)
        assert process.returncode == code, errors
        return out.decode(), errors.decode()

    def rows(self):
        """The rows of the output."""
        with self.output.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file)) if self.form == "csv" else [*map(json.loads, file)]

    def numbers(self):
        """The numbers of the rows of the output that have an answer."""
        return [int(row["nr"]) for row in self.rows() if row["answer"]]

    def records(self):
        """The lines of the journal."""
        return [json.loads(line) for line in self.journal.read_bytes().splitlines()]

    def has_records(self, count):
        return self.journal.exists() and self.journal.read_bytes().count(b"\n") >= count
