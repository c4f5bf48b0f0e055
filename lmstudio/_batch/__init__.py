"""Many inputs, a few at a time: `batch` starts them and gives their outcomes, `progress` shows it.

What an input is started as (a prediction, an embedding; `calls` has both) is a function that its
handle passes; what became of it, a lost connection too, comes by the future of that.
Used by handles. Imports `_prediction`, `_background` and `_connection`.
"""
