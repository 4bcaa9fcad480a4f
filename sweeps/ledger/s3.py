"""Filesystems by URI, such as s3://bucket/prefix, with our own timeouts."""

from datetime import timedelta
from typing import Any

from pyarrow import fs

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""Timeout while no byte arrives. A busy server may need longer than pyarrow's default of 3 seconds."""
ATTEMPTS = 3  # pyarrow's default, which a filesystem keeps when it is pickled to a worker
RETRY_SECONDS = 30.0  # of Google's storage, whose default is 15 minutes; `gs://...?retry_limit_seconds=N` says another


def connect(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the filesystem that a URI names, and the path in it.

    An S3 server may take `ATTEMPTS` timeouts to answer, about half a minute.

    Raises:
        ValueError, OSError: pyarrow does not know such a URI, or cannot reach what it names.
    """
    filesystem, path = fs.FileSystem.from_uri(uri)
    if filesystem.type_name == "s3":  # a URI cannot hold timeouts, so they are set in the pickled options
        options: dict[str, Any]
        rebuild, (options,) = filesystem.__reduce__()
        filesystem = rebuild(options | {"connect_timeout": CONNECT_SECONDS, "request_timeout": ANSWER_SECONDS})
    if filesystem.type_name == "gcs" and "retry_limit_seconds" not in uri:
        rebuild, (options,) = filesystem.__reduce__()
        filesystem = rebuild(options | {"retry_time_limit": timedelta(seconds=RETRY_SECONDS)})
    return filesystem, path
