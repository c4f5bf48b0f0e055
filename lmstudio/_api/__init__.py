"""What each public function and class begins with: `checks` of arguments, `public` names.

All rooms enter it. It imports only `errors`.
"""
