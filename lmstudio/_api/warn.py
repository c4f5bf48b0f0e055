"""Warns of what is odd in a caller's own arguments, at the caller's line."""

from __future__ import annotations

import os
import sys
import warnings

from ..errors import LMStudioOptionWarning

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def warn_of_option(text: str) -> None:
    """Issue an `LMStudioOptionWarning` at the line that called this package."""
    level, frame = 1, sys._getframe()
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, LMStudioOptionWarning, stacklevel=level)
