/** What the tissue view knows beside the model that all views of the cells share. */

import { create } from "zustand";
import type { ApiError } from "../../api/client";
import type { TileInfo } from "../../api/images";
import type { TissueInfo } from "../../api/types";
import type { Tiles } from "../image/tiles";
import type { Shown } from "./model";

export interface TissueModel {
  phase: "loading" | "ready" | "error";
  error: ApiError | null;
  tissue: TissueInfo | null;
  info: TileInfo | null;
  tiles: Tiles | null;
  shown: Shown | null;
  /** (n, 3) in the picture's world, in drawing order. */
  positions: Float32Array | null;
  nowhere: number;
  /** `LEVEL:TILES` of the last complete frame. */
  painted: string;
  /** Cells in the last frame. */
  drawn: number;
  /** Grows when tiles that failed are to be asked for again. */
  attempt: number;
}

export const BLANK: TissueModel = {
  phase: "loading",
  error: null,
  tissue: null,
  info: null,
  tiles: null,
  shown: null,
  positions: null,
  nowhere: 0,
  painted: "",
  drawn: 0,
  attempt: 0,
};

export const useTissue = create<TissueModel>(() => BLANK);
export const setTissue = useTissue.setState;
export const getTissue = useTissue.getState;
