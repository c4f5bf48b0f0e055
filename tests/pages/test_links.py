"""Links between the pages lead somewhere, on a code host and on the site; nothing is fetched."""

import re
from urllib.parse import urlsplit

import pytest
from pages.reading import DOCS, PAGES, ROOT, anchors, links, settings, text_of


def name(page):
    return page.relative_to(ROOT).as_posix()


def toctree(page):
    """The pages that a page of the site lists below itself."""
    text = text_of(page)
    blocks = [block.partition("```")[0] for block in text.split("```{toctree}\n")[1:]]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line and not line.startswith(":")]
    return [re.sub(r".* <(\S+)>", r"\1", line) for line in lines]  # a title may stand before it


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_files_and_headings_lead_somewhere(page):
    for link in links(page):
        if urlsplit(link).scheme:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert ROOT in target.parents, f"{link} leads out of the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link} names no heading of {name(target)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_other_sites_are_well_formed(page):
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "mailto"), link
            assert parts.scheme == "mailto" or "." in parts.netloc, link


def test_every_page_is_reached_from_the_index():
    below = settings()["BELOW"]
    seen, ahead = set(), ["index"]
    while ahead:
        page = ahead.pop()
        assert page not in seen, f"{page} is listed twice"
        seen.add(page)
        folder = page.rpartition("/")[0]
        listed = [*toctree(DOCS / f"{page}.md"), *below.get(page, [])]
        ahead += [f"{folder}/{each}" if folder else each for each in listed]
    assert seen == {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}


def test_pages_that_are_files_elsewhere_name_that_file():
    for page, file in settings()["ELSEWHERE"].items():
        assert (ROOT / file).is_file()
        assert f"({'../' * (page.count('/') + 1)}{file})" in text_of(DOCS / f"{page}.md")
