"""The client: one server, its session and its namespaces. A pickled handle finds one here, too.

`default_client` has the functions of the package that need no client; `run_in_background` calls
any blocking method in a thread of its own.
Imports all rooms below.
"""
