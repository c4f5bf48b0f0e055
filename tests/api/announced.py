"""What differs between two records of the public API, and whether the changelog announces it.

An entry announces a change if it names, in backticks, every part of the path: for
`lmstudio.Client.close(timeout)` those are Client, close and timeout.
"""

import re

# Parts of paths that no entry has to name.
UNNAMED = {"lmstudio", "testing", "type", "python", "-m", "pytest", "fixture"}
WORD = re.compile(r"--?[\w-]+|\w+")


class Entry:
    """An entry of the changelog: the names in it that stand in backticks."""

    def __init__(self, heading, text):
        self.is_removal = heading == "Removed"
        spans = re.findall(r"`([^`]+)`", text)
        self.names = {word for span in spans for word in WORD.findall(span)}
        # Where many calls got one parameter, it may stand alone: `timeout=`.
        self.parameters = {span[:-1] for span in spans if re.fullmatch(r"\w+=", span)}
        if any("(" in span for span in spans):
            self.parameters.clear()


def entries(changelog):
    """The entries under [Unreleased]."""
    section = re.search(r"^## \[Unreleased\].*?\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    for part in re.split(r"^### ", section[1] if section else "", flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        for text in re.split(r"^[-*] ", body, flags=re.M)[1:]:
            yield Entry(heading.strip(), text)


def above(path):
    """The path of what a name belongs to: of a parameter its call, of a method its class."""
    return re.sub(r"(\(\w+\)|\[\w+\]|\.\w+| \S+)$", "", path)


def own(path):
    """A name without what it belongs to; with its parameter."""
    return path.rpartition(".")[2]


class Changes:
    """What differs between two records, and whether a changelog announces it."""

    def __init__(self, before, now, changelog):
        self.before, self.now = before, now
        self.entries = list(entries(changelog))
        self.known = {*before, *now}
        self.paths = sorted(path for path in self.known if before.get(path) != now.get(path))

    def unannounced(self):
        """Each change that no entry tells: the path, and what happened to it."""
        found = {}
        for path in self.paths:
            if path not in self.before:
                path, kind = self._topmost(path), "added"
            elif path not in self.now:
                path, kind = self._topmost(path), "removed"
            else:
                kind = "changed"
            if kind == "removed" and self._has_got_a_name(path):
                continue
            # A type without a public name comes and goes with what takes or gives it.
            is_type = re.fullmatch(r"type [\w.]+", path) and above(path) not in self.known
            if is_type and kind != "changed":
                continue
            if path not in found and not self._is_announced(path, kind):
                found[path] = kind
        return found

    def _has_got_a_name(self, path):
        """Whether a type that had no public name has one now, and so is told of there."""
        named = path.replace("type ", "lmstudio.", 1)
        return path.startswith("type ") and named in self.now and named not in self.before

    def _topmost(self, path):
        """The highest of what came or went together with a name."""
        has_both = self.before.keys() & self.now.keys()
        while (owner := above(path)) in self.known and owner not in has_both:
            path = owner
        return path

    def _is_announced(self, path, kind):
        """Whether an entry tells of a change, or of one of what the name belongs to."""
        owner = above(path)
        is_part = owner != path and owner in self.paths
        return self._is_told(path, kind) or (is_part and self._is_announced(owner, "changed"))

    def _is_told(self, path, kind):
        ways = [set(WORD.findall(each)) - UNNAMED for each in self._alike(path)]
        parameter = re.search(r"\((\w+)\)$", path)
        return any(
            (kind != "removed" or entry.is_removal)
            and (
                any(way and way <= entry.names for way in ways)
                or (parameter is not None and parameter[1] in entry.parameters)
            )
            for entry in self.entries
        )

    def _change(self, path):
        return self.before.get(path), self.now.get(path)

    def _alike(self, path):
        """The paths of which any may be named: the same change may have come to several classes."""
        yield path
        change = self._change(path)
        yield from (o for o in self.paths if own(o) == own(path) and self._change(o) == change)
        if path.startswith("type "):  # it has no public name: what takes or gives it may be named
            name = re.compile(rf"\b{WORD.findall(path)[-1]}\b")
            for other, texts in self.now.items():
                if not other.startswith("type ") and any(map(name.search, texts)):
                    yield above(other) if other.endswith(")") else other
