"""How clients come in and what becomes of their calls: answered here, or held for the test.

The listening socket, the authentication, one `Session` for each connection, and `Call`, with which
a test answers itself. Used by `Server` alone. Imports all rooms below.
"""
