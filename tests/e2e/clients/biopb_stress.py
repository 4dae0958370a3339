"""One client of a stress test, ``biopb_stress.py URL SOURCE PIXELS.npy ROLE SECONDS SEED``; prints what it did."""

import os
import sys
import time

import numpy as np
from biopb.tensor import TensorFlightClient
from biopb.tensor._pool import _chunk_ticket
from biopb.tensor._session import _parse_flight_endpoints
from pyarrow import flight

url, source, pixels, role, seconds, seed = sys.argv[1:]
token = os.environ["BIOPB_TENSOR_TOKEN"]
random = np.random.default_rng(int(seed))
expected = np.load(pixels)
options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])
done = 0


def planned(client):
    info = flight.FlightInfo.deserialize(client.get_tensor(source, output="pb").flight_info)
    keys, _, grant = _parse_flight_endpoints(info)
    return [_chunk_ticket(key, grant) for key in keys]


def refused(call):
    """Whether it was refused as Flight refuses, without a traceback."""
    try:
        call()
    except flight.FlightError as error:
        if "Traceback" in str(error):
            raise AssertionError("the server tells its own code") from error
        return True
    return False


client = TensorFlightClient(url, token=token, cache_bytes=0)
tickets = planned(client)
end = time.monotonic() + float(seconds)  # from now on: starting takes long on a busy machine
raw = flight.connect(url)
while time.monotonic() < end:
    if role == "read":
        low = [int(random.integers(0, n)) for n in expected.shape]
        high = [int(random.integers(a, n)) + 1 for a, n in zip(low, expected.shape, strict=True)]
        box = tuple(map(slice, low, high))
        assert np.array_equal(client.get_array(source, box), expected[box]), box
    elif role == "garbage":
        ticket = bytearray(tickets[0])
        cut = bytes(ticket[: int(random.integers(len(ticket)))])
        ticket[int(random.integers(len(ticket)))] ^= int(random.integers(1, 256))
        for data in (cut, bytes(ticket), random.bytes(int(random.integers(1, 3000)))):
            refused(lambda data=data: raw.do_get(flight.Ticket(data), options).read_all())
            refused(lambda data=data: raw.get_flight_info(flight.FlightDescriptor.for_command(data), options))
            refused(lambda data=data: list(raw.do_action(flight.Action("catalog_children", data), options)))
    elif role == "forge":
        ticket = bytearray(tickets[0])
        ticket[-int(random.integers(1, 16))] ^= int(random.integers(1, 256))  # the seal comes last
        assert refused(lambda ticket=ticket: raw.do_get(flight.Ticket(bytes(ticket))).read_all()), (
            "a forged seal was taken"
        )
        assert raw.do_get(flight.Ticket(tickets[0])).read_all().num_rows == 1
    elif role == "slow":
        waiting = [flight.connect(url) for _ in range(4)]
        streams = [one.do_get(flight.Ticket(tickets[0])) for one in waiting]
        time.sleep(2.0)
        del streams, waiting
    elif role == "large":
        data = bytes(20 << 20)
        assert refused(lambda data=data: raw.do_get(flight.Ticket(data), options).read_all())
        assert refused(lambda data=data: list(raw.do_action(flight.Action("catalog_children", data), options)))
    done += 1
print(done)
os._exit(0)
