"""The parts of the program ``chat``."""
