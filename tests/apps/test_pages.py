"""The pages of docs/apps: each program is run by a test of this folder."""

import re

from apps.running import HERE, PAGES, programs


def test_each_program_is_run_by_a_test():
    named = set()
    for path in HERE.glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'program\("(.*?)", "(.*?)"\)', text))
    for page in PAGES.glob("*.md"):
        for program in programs(page.name):
            assert [words for name, words in named if name == page.name and words in program], (
                program
            )
