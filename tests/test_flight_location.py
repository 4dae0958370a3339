"""Where clients elsewhere reach Arrow Flight, and what is told of it."""

from __future__ import annotations

import dataclasses

import pytest

from coverslip.core.errors import BadUsage
from coverslip.flight import location_of
from coverslip.settings import Settings

FLIGHT = Settings(flight_port=8815)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ""),
        ({"flight_host": "0.0.0.0"}, ""),
        ({"flight_host": "192.0.2.7"}, "grpc://192.0.2.7:8815"),
        ({"host": "192.0.2.7", "tls": True}, "grpc+tls://192.0.2.7:8815"),
        ({"flight_host": "2001:db8::7"}, "grpc://[2001:db8::7]:8815"),
        ({"flight_host": "192.0.2.7", "flight_port": 0}, ""),
        ({"flight_host": "192.0.2.7", "external_location": "grpcs://lab.example.org:443/"},
         "grpc+tls://lab.example.org:443"),
        ({"external_location": " grpc+tcp://[2001:db8::7]:9000"}, "grpc://[2001:db8::7]:9000"),
    ],
)  # fmt: skip
def test_where_it_is_reached(settings: dict[str, object], told: str) -> None:
    assert location_of(dataclasses.replace(FLIGHT, **settings)) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", ["lab.example.org:8815", "http://lab:8815", "grpc://lab", "grpc://", "grpc://u@lab:1", "grpc://lab:99999"]
)
def test_what_is_no_address_of_flight_is_refused(wrong: str) -> None:
    with pytest.raises(BadUsage, match="is no address of Arrow Flight") as caught:
        location_of(dataclasses.replace(FLIGHT, external_location=wrong))
    assert "grpc://HOST:PORT" in (caught.value.hint or "")
