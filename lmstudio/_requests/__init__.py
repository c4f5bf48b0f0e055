"""What can be asked of the server: for each method its endpoint, its parameter, its result.

Nothing here sends or waits: that is up to whoever makes the call. `uploads` has the frames of
files. Predictions have their own, in `_prediction/request`.
Used by handles. Imports `_values`, `_config` and, for the class `Request`, `_connection`.
"""
