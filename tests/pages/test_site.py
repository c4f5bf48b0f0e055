"""The site is built without a warning, and has an entry for each thing that the record has."""

import inspect
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from api.public_api import INNER_MEMBERS
from api.record import NOW, read
from pages.reading import DOCS, ROOT, entries

import lmstudio
import lmstudio.testing
from lmstudio import EmbeddingLoadModelConfig, LlmLoadModelConfig, LlmPredictionConfig
from lmstudio._config.option_docs import keys_of

pytestmark = [pytest.mark.site, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site."""
    pytest.importorskip("furo", reason="Sphinx and its theme are not here: `make test` has them")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", folder / "trees"]
    done = subprocess.run(
        [*command, DOCS, folder / "html"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(Path(lmstudio.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def inventory(site):
    """The entries of the reference, as Sphinx lists them for other sites: kind by path."""
    data = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    rows = [line.split(" ") for line in zlib.decompress(data).decode().splitlines()]
    return {row[0]: row[1] for row in rows if row[1].startswith("py:")}


class Page(HTMLParser):
    """The anchors, the links and the text of a page."""

    def __init__(self, file):
        super().__init__()
        self.anchors, self.links, self.text = set(), [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(site):
    """The pages of the site, by file."""
    return {file: Page(file) for file in site.rglob("*.html")}


def test_every_public_name_has_an_entry(inventory):
    assert {path for _, _, path in entries()} - set(inventory) == set()


def test_every_public_member_has_an_entry(inventory):
    missing = []
    for path in read(NOW):
        found = re.fullmatch(r"(lmstudio(?:\.testing)?)\.([A-Z]\w*)\.([a-z]\w*)", path)
        cls = getattr(sys.modules[found[1]], found[2], None) if found else None
        if isinstance(cls, type):
            owners = [f"{found[1]}.{owner.__name__}" for owner in cls.__mro__]
            is_inner = INNER_MEMBERS.fullmatch(f"{found[2]}.{found[3]}")
            is_parameter = (
                found[3] in inspect.signature(cls.__init__).parameters
            )  # it is described as one
            if is_inner:
                assert path not in inventory
            elif not is_parameter and not any(f"{o}.{found[3]}" in inventory for o in owners):
                missing.append(path)
    assert missing == []


def test_every_option_has_its_key_in_its_entry(site):
    page = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    for cls in (LlmPredictionConfig, LlmLoadModelConfig, EmbeddingLoadModelConfig):
        for option in attrs.fields(cls):
            _, _, rest = page.partition(f'id="lmstudio.{cls.__name__}.{option.name}"')
            entry, _, _ = rest.partition("</dl>")
            assert [key for key in keys_of(option) if key not in entry] == [], option.name


def test_links_of_the_site_lead_somewhere(site, html):
    for file, page in html.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.exists(), f"{link} of {file.relative_to(site)}"
            if parts.fragment and target in html:
                assert unquote(parts.fragment) in html[target].anchors, (
                    f"{link} of {file.relative_to(site)}"
                )


def test_no_private_name_is_in_the_reference(site, html):
    for file, page in html.items():
        if "reference" in file.relative_to(site).parts:
            found = re.findall(r"lmstudio(?:\._[a-z]\w*)+(?:\.\w+)*", " ".join(page.text))
            assert set(found) <= {"lmstudio._sdk_models"}, file.name
            assert [anchor for anchor in page.anchors if ".__" in (anchor or "")] == []
