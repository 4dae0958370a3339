"""Networks of neurons: where they are mounted, known before anything of them is imported."""

PREFIX = "api/networks/"


def has(path: str) -> bool:
    """Whether a path, relative to the root, is ours."""
    return path.startswith(PREFIX)
