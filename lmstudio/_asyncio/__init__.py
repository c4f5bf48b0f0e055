"""The asyncio half of the official API: its classes, which cannot be made yet.

Stands beside `_client`; imports what both halves use, never `_client` or `_handles`.
"""
