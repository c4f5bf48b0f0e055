"""For tools that ask for a setup.py, and what the sdist holds; all the rest is in setup.cfg."""

from setuptools import setup
from setuptools.command.egg_info import manifest_maker

# Setuptools looks for MANIFEST.in in the top folder, which has files enough.
manifest_maker.template = "tests/sdist.in"
setup()
