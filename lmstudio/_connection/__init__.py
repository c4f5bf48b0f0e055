"""_connection."""
