"""What is done as the program ends: after all exit hooks that came since `import lmstudio`.

A hook of the user's may stop workers and wait for them, for which the package must still do its
work. Its modules are imported when they are needed first, often later than such a hook.
"""

from collections.abc import Callable

_steps: list[Callable[[], None]] = []  # each raises nothing


def at_program_end(step: Callable[[], None]) -> Callable[[], None]:
    """Have a function called, before those that were given earlier; it must raise nothing."""
    _steps.append(step)
    return step


def run() -> None:
    """Do it; `lmstudio` itself has this called, since it is imported first."""
    while True:
        try:
            while _steps:
                _steps.pop()()
            return
        except (KeyboardInterrupt, SystemExit):  # a signal asks for what goes on already
            pass
