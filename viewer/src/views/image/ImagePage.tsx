/** The page of one image: what to show on the left, the image, its channels on the right, its axes below. */

import { useCallback, useEffect, useRef } from "react";
import { toApiError } from "../../api/client";
import { amendUrl, setPlace } from "../../state/route";
import { useModel } from "../../state/store";
import { useKeysOf } from "../../ui/keys";
import { SheetButtons, Side } from "../../ui/sheets";
import { Axes } from "./Axes";
import { fail, leaveImage, lookForServer, openImage } from "./actions";
import type { Bench } from "./bench";
import { Channels } from "./Channels";
import { IMAGE_KEYS } from "./keys";
import { linkOf } from "./link";
import { Metadata } from "./Metadata";
import { extent, pictureName, titleOf } from "./model";
import { ImagePanel } from "./Panel";
import { picture, save } from "./picture";
import { Words, Work } from "./States";
import { getImage, useImage } from "./state";
import { useImageKeys } from "./useImageKeys";
import { barOf, ImageView } from "./View";
import "./image.css";

export { IMAGE_KEYS } from "./keys";

const LOOK_MS = 5000;
const LINK_MS = 250;
const KEYS = { lines: IMAGE_KEYS, actions: {} };

function imageInUrl(): string {
  return new URLSearchParams(location.search).get("image") ?? "";
}

/** Keeps the address bar up to date, a little behind so that dragging does not flood it. */
function useLink(): void {
  useEffect(() => {
    let timer = 0;
    const stop = useImage.subscribe((state, before) => {
      if (state.phase !== "ready" || !state.info) return;
      if (linkedParts.every((part) => state[part] === before[part])) return;
      clearTimeout(timer);
      timer = window.setTimeout(() => {
        const now = getImage();
        if (now.phase === "ready" && now.info && now.playing === null) amendUrl(linkOf(now.info, now, now.auto));
      }, LINK_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, []);
}

const linkedParts = ["plane", "settings", "shown", "mode", "labels", "camera", "fps", "playing"] as const;

export default function ImagePage({ image = imageInUrl() }: { image?: string }) {
  const sheet = useModel((s) => s.sheet);
  const { info, source } = useImage();
  const bench = useRef<Bench | null>(null);
  const onBench = useCallback((own: Bench) => {
    bench.current = own;
  }, []);
  useEffect(() => {
    void openImage(image);
    const timer = setInterval(() => void lookForServer(), LOOK_MS);
    return () => {
      clearInterval(timer);
      leaveImage();
    };
  }, [image]);
  useEffect(() => {
    if (info) setPlace(titleOf(info, source), extent(info));
  }, [info, source]);
  useLink();
  useKeysOf(KEYS);
  const onPicture = useCallback(() => void takePicture(bench.current), []);
  useImageKeys(bench, onPicture);
  return (
    <div className={`image-page sheet-${sheet}`}>
      <Side side="left" label="What to show">
        <ImagePanel onPicture={onPicture} />
      </Side>
      <div className="centre">
        <ImageView onBench={onBench} />
        <Words />
      </div>
      <Side side="right" label="Channels and metadata">
        <Channels />
        <Metadata />
      </Side>
      <footer className="bottom">
        <Axes />
        <Work />
        <SheetButtons legend="Channels" />
      </footer>
    </div>
  );
}

async function takePicture(bench: Bench | null): Promise<void> {
  const canvas = bench?.drawn();
  const state = getImage();
  if (!bench || !canvas || !state.info) return;
  const bar = state.mode === "volume" ? null : barOf(state, bench.zoom);
  try {
    const background = getComputedStyle(canvas.closest(".centre") ?? document.body).backgroundColor;
    const places = Object.entries(state.plane).map(([axis, index]) => `_${axis}${index + 1}`);
    save(
      await picture(canvas, bar, background),
      `${pictureName(titleOf(state.info, state.source))}${places.join("")}.png`,
    );
  } catch (error) {
    fail(toApiError(error));
  }
}
