"""What clients stream to the server. Where the parts of a batch lie is told by the client, so it is looked at first:
Arrow trusts it, and would read beyond what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from coverslip.core.errors import BadRequest, TooLarge

HINT = "Send record batches as pyarrow writes them."


def batches(reader: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, those that make sense.

    Parameters
    ----------
    reader
        A ``MetadataRecordBatchReader``.

    Raises
    ------
    BadRequest, TooLarge
        When the stream is none of Arrow, or one of them is damaged.
    """
    try:
        for chunk in reader:
            if chunk.data is not None:
                chunk.data.validate(full=True)
                _ = chunk.data.schema.names  # which validate does not look at
                yield chunk.data
    except flight.FlightError:
        raise
    except MemoryError as error:
        raise TooLarge("The stream needs more memory than there is", "Send fewer at a time.") from error
    except (pa.ArrowException, ValueError, OSError) as error:
        raise BadRequest("The stream is no whole stream of Arrow", HINT, "malformed") from error
