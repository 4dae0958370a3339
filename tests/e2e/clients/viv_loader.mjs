// zarrita and Viv's loader (as Vitessce uses them) on an address; copied into viewer/ to find its packages. Prints JSON.
import { loadOmeZarr } from "@vivjs/loaders";
import * as zarr from "zarrita";

const url = process.argv[2];
const group = await zarr.open.v3(new zarr.FetchStore(url), { kind: "group" });
const array = await zarr.open.v3(group.resolve("0"), { kind: "array" });
const whole = await zarr.get(array);
const { data, metadata } = await loadOmeZarr(url, { type: "multiscales" });
const selection = Object.fromEntries(data[0].labels.slice(0, -2).map((name) => [name, 0]));
const tile = await data[0].getTile({ x: 0, y: 0, selection });
console.log(
  JSON.stringify({
    zarrita: { shape: array.shape, dtype: array.dtype, sum: whole.data.reduce((a, b) => a + b, 0) },
    viv: {
      levels: data.length,
      labels: data[0].labels,
      dtype: data[0].dtype,
      tile: [tile.height, tile.width],
      first: Array.from(tile.data.slice(0, 8)),
      channels: metadata.omero?.channels?.map((c) => c.label) ?? null,
    },
  }),
);
