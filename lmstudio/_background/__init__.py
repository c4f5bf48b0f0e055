"""_background."""
