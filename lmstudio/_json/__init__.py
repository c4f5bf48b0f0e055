"""Python values and JSON data.

`converter` is for attrs classes of this package. For types of users there are `json_schema` (what
a server is told), `from_json` (what it answers becomes a value) and, under both, `annotations`,
which takes types apart. `dereference` puts what a schema refers to in its place. `schema_check`
holds data against a stranger's schema, with `pattern` for the texts in it. `whole` is for texts
that cannot be encoded.
Used by all rooms above it. Imports `errors` and `_api`.
"""
