"""biopb's own client over TLS: ``biopb_reads_tls.py URL TOKEN CA.pem PIXELS.npy``; prints what it found, as JSON."""

import json
import sys
from pathlib import Path

import numpy as np
from biopb.tensor import TensorFlightClient

url, token, ca, pixels = sys.argv[1:]
client = TensorFlightClient(url, token=token, tls_ca_pem=Path(ca).read_bytes())
volume = np.load(pixels, mmap_mode="r")
[row] = client.query("SELECT source_id, tensors FROM sources", format="records")
array_id = row["tensors"][0]["array_id"]
part = client.get_array(array_id, (slice(2, 3), slice(100, 356), slice(40, 296)))
print(
    json.dumps(
        {
            "health": client.health_check(),
            "whole": bool(np.array_equal(client.get_tensor(array_id).compute(), volume)),
            "part": bool(np.array_equal(part, volume[2:3, 100:356, 40:296])),
        }
    )
)
