"""_protocol."""
