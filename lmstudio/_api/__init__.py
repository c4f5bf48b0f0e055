"""What each public function and class begins with: `checks` of arguments, `public` names.

`backports` has names of `typing` that older Pythons lack.
Used by all rooms. Imports only `errors`.
"""
