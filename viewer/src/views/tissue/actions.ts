/** Opening a picture of the tissue and laying the cells over it. */

import { ApiError, getBytes, isAbort, toApiError } from "../../api/client";
import { getStatistics, getTileInfo, type TileInfo } from "../../api/images";
import type { TissueInfo } from "../../api/types";
import { drawable } from "../../data/pixels";
import { addressOf, crewOf } from "../../state/actions";
import { get, setProgress } from "../../state/store";
import { autoWindow, axisSize, channelIn, firstPlane } from "../image/model";
import { Tiles } from "../image/tiles";
import { type Shown, shownOf, toWorld } from "./model";
import { BLANK, getTissue, setTissue } from "./state";

let running: AbortController | null = null;

export function leaveTissue(): void {
  running?.abort();
  running = null;
  setProgress("tissue", null);
  setTissue(BLANK, true);
}

export async function openTissue(tissue: TissueInfo): Promise<void> {
  running?.abort();
  const own = new AbortController();
  running = own;
  setTissue({ ...BLANK, tissue, attempt: getTissue().attempt }, true);
  setProgress("tissue", { label: tissue.name, fraction: null });
  try {
    await load(tissue, own.signal);
  } catch (error) {
    if (!isAbort(error) && !own.signal.aborted) setTissue({ phase: "error", error: toApiError(error) });
  } finally {
    if (running === own) setProgress("tissue", null);
  }
}

async function load(tissue: TissueInfo, signal: AbortSignal): Promise<void> {
  const info = await getTileInfo(tissue.array_id, signal);
  if (!info.picture || !drawable(info.dtype)) {
    const hint = "The cells can still be seen in their embedding.";
    throw new ApiError("not_drawable", `${tissue.name} cannot be drawn as a picture`, hint, 0);
  }
  const tiles = new Tiles(info);
  const [shown, laid] = await Promise.all([windowed(info, signal), layCells(tissue, info, tiles, signal)]);
  if (signal.aborted) return;
  setTissue({ phase: "ready", error: null, info, tiles, shown, positions: laid.positions, nowhere: laid.nowhere });
}

/** Channels of which the file does not say how bright they are get what their pixels span. */
async function windowed(info: TileInfo, signal: AbortSignal): Promise<Shown> {
  const shown = shownOf(info);
  const settings = await Promise.all(
    shown.settings.map(async (setting, channel) => {
      if (setting.window !== null || !shown.channels.includes(channel)) return setting;
      const [found] = await getStatistics(info, firstPlane(info), channelIn(info, channel), null, signal);
      return found ? { ...setting, window: autoWindow(found) } : setting;
    }),
  );
  return { ...shown, settings };
}

async function layCells(tissue: TissueInfo, info: TileInfo, tiles: Tiles, signal: AbortSignal) {
  const { identity } = get();
  const embedding = identity?.embeddings.items.find(({ id }) => id === tissue.embedding);
  const file = embedding?.files["2d"];
  if (!identity || !file || axisSize(info, "x") === 0) {
    const hint = "The picture needs two columns of coordinates in obsm.";
    throw new ApiError("no_coordinates", `There is no ${tissue.embedding} to lay cells by`, hint, 0);
  }
  const n = identity.stats.n_cells;
  const bytes = await getBytes(addressOf(`${file}?columns=0,1&coordinates=stored`), n * 8, signal);
  return crewOf().run({ kind: "tissue", bytes, n, matrix: toWorld(tissue.matrix, info, tiles.pyramid) });
}

/** A tile that failed: the cells stay, and the picture can be asked for again. */
export function failTissue(error: Error): void {
  if (isAbort(error)) return;
  const known = error instanceof ApiError ? error : new ApiError("drawing", error.message, "Reload the page.", 0);
  const { tissue } = getTissue();
  if (known.code === "superseded" && tissue) void openTissue(tissue);
  else setTissue({ error: known });
}

export function retryTissue(): void {
  const { tissue, phase } = getTissue();
  if (phase === "ready") setTissue(({ attempt }) => ({ attempt: attempt + 1, error: null }));
  else if (tissue) void openTissue(tissue);
}
