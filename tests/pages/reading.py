"""What the pages of the documentation hold: headings, links, entries of the reference."""

import re
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
AT_THE_ROOT = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
]
PAGES = [*sorted(DOCS.rglob("*.md")), *(page for page in AT_THE_ROOT if page.exists())]
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)


def text_of(page):
    return page.read_text(encoding="utf-8")


def without_code(text):
    """A page without its blocks of code, and without code in the running text."""
    return re.sub(r"`[^`\n]+`", "code", FENCE.sub("", text))


def links(page):
    """The targets of the links and pictures of a page."""
    text = without_code(text_of(page))
    return re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"<(https?:[^>\s]+)>", text)


def anchors(page):
    """The anchors of a page's headings, as code hosts and the site name them."""
    found = []
    for title in re.findall(r"^#+ +(.+?)#* *$", FENCE.sub("", text_of(page)), re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        anchor = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        again = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found
        )
        found.append(f"{anchor}-{again}" if again else anchor)
    return found


def settings():
    """The settings of the site, which need no Sphinx to be read."""
    path = list(sys.path)
    try:
        return runpy.run_path(str(DOCS / "conf.py"))
    finally:
        sys.path[:] = path


def entries():
    """The entries of the reference: page, kind of entry and path, one for each."""
    return [
        (page.name, kind, path)
        for page in sorted((DOCS / "reference").glob("*.md"))
        for kind, path in re.findall(r"^ *\.\. (\w+):: (lmstudio\S+)", text_of(page), re.MULTILINE)
    ]
