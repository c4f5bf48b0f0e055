"""For tools that ask for a setup.py; everything is in setup.cfg."""

from setuptools import setup

setup()
