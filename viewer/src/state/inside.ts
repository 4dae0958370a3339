/** Which sources are HDF5 files, and can be looked into as such. */

import type { Source } from "../api/catalog";

const FORMATS = new Set(["hdf5", "h5ad", "imaris", "neuroh5"]);

export function formatIsHdf5({ source_type: format, source_url: url }: Source): boolean {
  return FORMATS.has(format) && url.startsWith("file:");
}

/** Whether there is a link to what is inside. */
export function canLookInside(source: Source): boolean {
  return source.status !== "failed" && formatIsHdf5(source);
}
