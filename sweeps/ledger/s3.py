"""Filesystems named by a URI, such as s3://bucket/prefix, with time-outs that are ours."""

from typing import Any

from pyarrow import fs

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""Without a byte: a busy server may think for long; pyarrow's 3 seconds would give up on it."""
ATTEMPTS = 3  # pyarrow's own, also after a filesystem was pickled to a worker


def connect(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem and the path in it that a URI names. S3's answers are waited for `ATTEMPTS` times a time-out at
    most, about half a minute.

    Raises:
        ValueError, OSError: not a URI that pyarrow knows, or what it names cannot be had.
    """
    filesystem, path = fs.FileSystem.from_uri(uri)
    if filesystem.type_name == "s3":  # a URI cannot say time-outs: the same filesystem again, by its pickled options
        options: dict[str, Any]
        rebuild, (options,) = filesystem.__reduce__()
        filesystem = rebuild(options | {"connect_timeout": CONNECT_SECONDS, "request_timeout": ANSWER_SECONDS})
    return filesystem, path
