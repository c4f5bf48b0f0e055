"""What every public function and class begins with: checks of arguments, and public names.

Every other room may use it. It imports nothing but `errors`.
"""
