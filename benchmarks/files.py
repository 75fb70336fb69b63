"""How many sockets a process may hold."""

import sys


def allow_many() -> None:
    """Raise the limit of open files as far as the system lets a process do."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  # Windows has no such module, and no limit

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
