"""What each public function and class begins with: `checks`, `callbacks`, `public` names.

Used by all rooms. Imports only `errors`.
"""
