"""How Sphinx makes the site out of these pages and the package's docstrings: `make docs`."""

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(DOCS / "_sphinx")]

import lmstudio  # noqa: E402

project = "lmstudio"
author = "The lmstudio authors"
version = release = lmstudio.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "reference"]
exclude_patterns = ["_sphinx"]
nitpicky = True

# Pages: Markdown whose links work on a code host, too.
myst_heading_anchors = 6
highlight_language = "none"  # unless a block names one
suppress_warnings = ["myst.header"]  # the changelog's headings stand below a page's own

# Docstrings.
default_role = "py:obj"  # a name in single backticks; a link if it has an entry, else plain
nitpick_ignore_regex = [("py:obj", ".*"), ("py:.*", r"(?!lmstudio\.)[\w.]+")]
autodoc_class_signature = "mixed"
autodoc_use_type_comments = False  # it would look for classes in the wrong file
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# Looks.
html_theme = "furo"
html_title = f"lmstudio {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_copyright = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False}

# Pages that are files elsewhere in the repository.
ELSEWHERE = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "measurements": "benchmarks/RESULTS.md",
}
# What stands below a page, which a code host shows as a folder.
BELOW = {"apps/README": ["tk", "qt", "fastapi", "streamlit", "notebooks", "freezers"]}


def read_page(app, name, source):
    """Take pages from where they are, and let links lead to pages instead of files."""
    file = ROOT / ELSEWHERE.get(name, f"docs/{name}.md")
    if name in ELSEWHERE:
        app.env.note_dependency(str(file))
        source[0] = file.read_text(encoding="utf-8")
    if name in BELOW:
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *BELOW[name], "```", ""])
    here = (DOCS / name).parent

    def lead_to_page(match):
        target = (file.parent / match[1]).resolve()
        for page, original in ELSEWHERE.items():
            if target == ROOT / original:
                target = DOCS / f"{page}.md"
        path = os.path.relpath(target, here).replace(os.sep, "/")
        if target.suffix == ".md" and DOCS not in target.parents:
            return f"](path:{path}"  # it has no page: it is downloaded
        return f"]({path}{match[2]}"

    source[0] = re.sub(r"\]\((?!\w+:)([\w./-]+)(#[\w.-]*|)", lead_to_page, source[0])


def setup(app):
    app.connect("source-read", read_page)
