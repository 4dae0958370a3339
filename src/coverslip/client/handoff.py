"""A plan of a read as one message: whoever has it can read those pixels, and nothing else where the server seals it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coverslip.client.image import Image
from coverslip.core.errors import Unsupported

if TYPE_CHECKING:
    from coverslip.client.flight import FlightTransport


def serialized(image: Image, level: int, ranges: Sequence[range]) -> bytes:
    """A ``biopb.tensor.SerializedTensor``, as the tensor server's own client writes and reads it.

    It holds our token only where the server does not seal its plans.

    Raises
    ------
    Unsupported
        Over HTTP: the message is of Arrow Flight.
    """
    if not image.transport.address.flight:
        raise Unsupported("pb hands on a plan of Arrow Flight", "Use the server's grpc:// address, or write .npy.")
    from biopb.tensor.descriptor_pb2 import TensorDescriptor
    from biopb.tensor.serialized_pb2 import SerializedTensor

    from coverslip.client.flight_facts import box_option

    transport: FlightTransport = image.transport  # type: ignore[assignment]
    option = box_option(image.about, level, [r.start for r in ranges], [r.stop for r in ranges])
    option.fields.paths.append("endpoints")
    if transport.health().facts.get("ticket_stubs"):
        option.fields.paths.append("ticket_stub")
    info = transport.info(option)
    sealed = bool(TensorDescriptor.FromString(info.descriptor.command).ticket_stub)
    address = transport.address
    anchor = b""
    if address.tls:
        certificate = ssl.get_server_certificate((address.host, address.port), timeout=30)
        anchor = certificate.encode()
    message = SerializedTensor(
        location=address.url,
        auth_token="" if sealed else image.token or "",
        flight_info=info.serialize(),
        tls_anchor=anchor,
    )
    return bytes(message.SerializeToString())
