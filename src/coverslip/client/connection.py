"""`coverslip.connect`."""

from __future__ import annotations

from coverslip.client.address import choose
from coverslip.client.client import Client
from coverslip.client.errors import NotAnswering
from coverslip.client.start import BUDGET_S, agreed, asks, can_start, start_server, wait_until_serving
from coverslip.client.tls import trust_of
from coverslip.client.transport import open_transport


def connect(
    url: str | None = None,
    token: str | None = None,
    start: bool | None = False,
    *,
    tls_ca: str | None = None,
    fingerprint: str | None = None,
    timeout_s: float = BUDGET_S,
) -> Client:
    """Connect to a server: coverslip's over Arrow Flight or HTTP, or any tensor server of protocol 2 or 3 over Flight.

    Parameters
    ----------
    url
        ``grpc://``, ``grpc+tcp://``, ``grpcs://``, ``grpc+tls://``, ``http://`` or ``https://``; the URL that a server
        prints is one. Left out: ``COVERSLIP_URL``, ``BIOPB_TENSOR_URL``, the saved ``tensor_browser.server_url``, the
        server that runs in the background, and ``grpc://localhost:8815``, in this order.
    token
        What the server asks for. Left out: the one in the URL, ``COVERSLIP_TOKEN``, ``BIOPB_TENSOR_TOKEN``.
    start
        Whether a server is started when none answers, the URL is of this machine, and ``coverslip`` is on ``PATH``;
        None asks at the terminal, where there is one.
    tls_ca
        PEM file (or text) of the server's certificate or of who signed it, where the system does not know it;
        ``COVERSLIP_TLS_CA`` when left out.
    fingerprint
        SHA-256 of the server's certificate, as it prints it; ``COVERSLIP_TLS_FINGERPRINT`` when left out.
    timeout_s
        How long a server that is starting is waited for.

    Returns
    -------
    Client
        ``client["source"]`` is an image; ``client.sources``, ``client.search(text)`` and ``client.sql(query)`` tell
        what there is.

    Raises
    ------
    CannotConnect
        When no server answers (`NotAnswering`), it does not take the token (`WrongToken`), it is too old (`TooOld`),
        or something else answers there.
    BadRequest
        When the URL is none.

    Examples
    --------
    >>> client = coverslip.connect("http://localhost:8765")  # doctest: +SKIP
    >>> client["liver"][0, 1, ::4, :512, :512]  # doctest: +SKIP
    """
    client = opened(url, token, start, tls_ca=tls_ca, fingerprint=fingerprint, timeout_s=timeout_s)
    try:
        client.transport.check_token()
    except BaseException:
        client.close()
        raise
    return client


def opened(
    url: str | None,
    token: str | None,
    start: bool | None,
    *,
    tls_ca: str | None = None,
    fingerprint: str | None = None,
    timeout_s: float = BUDGET_S,
    patient: bool = True,
) -> Client:
    """As `connect`, without a look at the token; only when ``patient``, a server that is starting is waited for."""
    target = choose(url, token)
    trust = trust_of(tls_ca or target.certificate, fingerprint)
    transport = open_transport(target, trust)
    try:
        try:
            if patient:
                wait_until_serving(transport.health, timeout_s, told=False)
            else:
                transport.health()
        except NotAnswering:
            if not _wanted(start, can_start(target.address), target.address.local):
                raise
            if start is None and not agreed(target.address):
                raise
            start_server(target.address)
            transport.close()
            wait_until_serving(transport.health, timeout_s)
    except BaseException:
        transport.close()
        raise
    return Client(transport, target, trust)


def _wanted(start: bool | None, possible: bool, local: bool) -> bool:
    """Whether to go on to start one; asked for outright, a missing command is told."""
    return (local and start is True) or (possible and start is None and asks())
