"""What each public function and class begins with: `checks`, `callbacks`, `public` names.

`backports` has names of `typing` that older Pythons lack; `program_end` is the one exit hook.
Used by all rooms. Imports only `errors`.
"""
