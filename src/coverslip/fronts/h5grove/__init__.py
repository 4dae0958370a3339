"""HDF5 files over h5grove's protocol: where it is mounted, known before anything of it is imported."""

PREFIX = "h5grove/"


def has(path: str) -> bool:
    """Whether a path, relative to the root, is ours."""
    return path.startswith(PREFIX) or f"{path}/" == PREFIX
