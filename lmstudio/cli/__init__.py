"""The commands of the terminal, one in each file that has no underscore: `lmstudio NAME`."""
