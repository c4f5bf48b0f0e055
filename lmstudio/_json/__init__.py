"""Python values and JSON: reading types, writing schemas, attrs classes to and from JSON data.

`converter` is for the classes of this package, `from_json` and `json_schema` for those of users.
All rooms above enter it. It imports `errors` and `_api`.
"""
