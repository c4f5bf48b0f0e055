"""What each public function and class begins with: `checks` of arguments, `public` names.

Used by all rooms. Imports only `errors`.
"""
