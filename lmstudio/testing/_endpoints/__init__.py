"""_endpoints."""
