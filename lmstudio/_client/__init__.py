"""The client: one server, its session and its namespaces; the default client; background calls.

Users enter here. It imports all rooms below.
"""
