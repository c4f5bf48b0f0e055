"""The terminal programs: ``python -m lmstudio chat``, ``batch`` and ``doctor``."""
