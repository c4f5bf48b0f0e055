"""_handles."""
