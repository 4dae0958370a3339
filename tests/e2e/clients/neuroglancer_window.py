"""Neuroglancer's own server and page on a given address: run in an environment that has ``neuroglancer``.

``neuroglancer_window.py PORT URL MAXIMUM`` prints the page's address; for each line on stdin it writes a
PNG of the view there.
"""

import sys
from pathlib import Path

import neuroglancer

RANGE = f"#uicontrol invlerp normalized(range=[0, {sys.argv[3]}])"
SHADER = f"{RANGE}\nvoid main() {{ emitGrayscale(normalized()); }}"

neuroglancer.set_server_bind_address("127.0.0.1", int(sys.argv[1]))
viewer = neuroglancer.Viewer()
with viewer.txn() as state:
    state.layers["image"] = neuroglancer.ImageLayer(source=f"{sys.argv[2]}|zarr3:", shader=SHADER)
    state.layout = "xy"
    state.show_axis_lines = False
    state.show_scale_bar = False
print(viewer.get_viewer_url(), flush=True)
for line in sys.stdin:
    shot = viewer.screenshot(size=[400, 300], include_depth=False)
    target = Path(line.strip())
    part = target.with_suffix(".part")
    part.write_bytes(shot.screenshot.image)
    part.rename(target)  # whoever sees it sees all of it
    print("done", flush=True)
