"""HDF5 files over HSDS's protocol: where it is mounted, known before anything of it is imported."""

PREFIX = "hsds/"


def has(path: str, prefix: str = PREFIX) -> bool:
    """Whether a path, relative to the root, is of the protocol mounted at ``prefix``."""
    return path.startswith(prefix) or f"{path}/" == prefix
