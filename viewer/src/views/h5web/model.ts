/** Which file a source is over HSDS's protocol, and what is in its folder. */

import type { Source } from "../../api/catalog";
import { ApiError, getJson } from "../../api/client";
import { isDomains } from "../../api/shapes";
import { formatIsHdf5 } from "../../state/inside";

export const HSDS = "hsds";

interface Domain {
  class: "domain" | "folder";
  name: string;
}

/** Folders and file of a source below what is served: `["lab", "plate 3", "x.h5"]`. */
export function partsOf({ source_url: url }: Source): string[] {
  return url
    .replace(/^file:\/*/, "")
    .split("/")
    .filter((part) => part !== "")
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

/**
 * Paths that a source may have, the likeliest first: of one folder that is served, its name is no part of the path; of
 * several, and of a file, it is.
 */
export function candidates(source: Source, roots: string[]): string[] {
  const parts = partsOf(source);
  const whole = `/${parts.join("/")}`;
  const below = `/${parts.slice(1).join("/")}`;
  return roots.length === 1 && parts.length > 1 ? [below, whole] : roots.length === 1 ? [whole, "/"] : [whole];
}

async function below(path: string, signal: AbortSignal): Promise<Domain[]> {
  const asked = new URLSearchParams({ domain: path.endsWith("/") ? path : `${path}/` });
  const { domains } = await getJson<{ domains: Domain[] }>(`${HSDS}/domains?${asked}`, signal, isDomains);
  return domains;
}

/** The files of a source: itself, or those of its folder. */
async function filesAt(path: string, signal: AbortSignal): Promise<string[]> {
  const upper = path.slice(0, path.lastIndexOf("/")) || "/";
  if (path !== "/") {
    const here = (await below(upper, signal)).find((found) => found.name === path);
    if (here?.class === "domain") return [path];
    if (!here) return [];
  }
  return (await below(path, signal)).filter((found) => found.class === "domain").map((found) => found.name);
}

export async function filesOf(source: Source, roots: string[], signal: AbortSignal): Promise<string[]> {
  if (!formatIsHdf5(source)) {
    throw new ApiError("no_hdf5", `${source.name} is no HDF5 file on this machine`, "Choose another source.", 404);
  }
  for (const path of candidates(source, roots)) {
    try {
      const files = await filesAt(path, signal);
      if (files.length > 0) return files;
    } catch (error) {
      if (!(error instanceof ApiError) || ![400, 404].includes(error.status)) throw error;
    }
  }
  throw new ApiError("no_hdf5", `${source.name} holds no HDF5 file`, "It may have been moved; look at the list.", 404);
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export interface Linked {
  /** The name of one of several files; null for the first. */
  file: string | null;
  /** A group or data set in it. */
  at: string;
}

export function readLinked(search: string): Linked {
  const query = new URLSearchParams(search);
  const at = query.get("at") ?? "/";
  return { file: query.get("file"), at: at.startsWith("/") ? at : `/${at}` };
}
