/** An image as the server describes it, for tests. */

import type { TileInfo } from "../../api/images";

export function sample(change: Partial<TileInfo> = {}): TileInfo {
  const shape = change.shape ?? [4, 3, 5, 600, 1001];
  const labels = change.dim_labels ?? ["t", "c", "z", "y", "x"];
  const halves = [0, 1, 2].map((level) => ({
    level,
    shape: shape.map((n, i) => (["y", "x"].includes(labels[i] ?? "") ? Math.ceil(n / 2 ** level) : n)),
    downsample: shape.map(() => 1),
  }));
  const units: Record<string, [string, string, number]> = {
    t: ["time", "second", 30],
    z: ["space", "micrometer", 2],
    y: ["space", "micrometer", 0.5],
    x: ["space", "micrometer", 0.5],
  };
  return {
    array_id: "cells",
    source_id: "cells",
    name: "cells",
    version: "v1",
    dtype: "uint16",
    dim_labels: labels,
    shape,
    axes: labels.map((name) => {
      const [type, unit, scale] = units[name] ?? ["", null, 1];
      return { name, type, unit, scale, origin: 0 };
    }),
    tile_size: 256,
    levels: halves,
    picture: true,
    rgb: false,
    is_label: false,
    channels: ["DAPI", "GFP", "mCherry"].map((label, index) => ({
      index,
      label,
      color: ["#0080FF", "#00ff00", "#ff00ff"][index] as string,
      active: true,
      window: null,
    })),
    labels: [],
    plate: null,
    siblings: [{ array_id: "cells", name: "cells" }],
    ...change,
  };
}
