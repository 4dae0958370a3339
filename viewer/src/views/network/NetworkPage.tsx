/** The page of one network: what to show, the network in space, legend and the picked neuron, and its figures. */

import { useEffect, useState } from "react";
import { counted } from "../../data/format";
import { amendUrl, setPlace } from "../../state/route";
import { useModel } from "../../state/store";
import { ErrorCurtain } from "../../ui/ErrorCurtain";
import { type PageKeys, useKeysOf } from "../../ui/keys";
import { Legend } from "../../ui/Legend";
import { SheetButtons, Side } from "../../ui/sheets";
import { TopBar } from "../../ui/TopBar";
import { Charts } from "./Charts";
import { readLinked, writeLinked } from "./model";
import { NeuronCard } from "./Neuron";
import { NetworkPanel } from "./Panel";
import { change, drawEdges, leaveNetwork, now, openNetwork, paintBy, unpick, useNetwork } from "./state";
import { NetworkView } from "./View";
import "./network.css";

const LINK_MS = 250;
const AGAIN_MS = 2000;

/** Keeps the address bar up to date, a little behind so that dragging does not flood it. */
function useLink(): void {
  const cmap = useModel((s) => s.cmap);
  const off = useModel((s) => s.hidden);
  const { color, picked, edges, camera, without, weight, phase } = useNetwork();
  const gid = picked?.gid ?? null;
  useEffect(() => {
    if (phase !== "ready") return;
    const hidden = Array.from(off ?? [], (one, code) => (one === 1 ? code : -1)).filter((code) => code >= 0);
    const shown = { color: color === "population" ? null : color, gid, edges, camera, without, cmap, hidden };
    const timer = setTimeout(() => amendUrl(writeLinked({ ...shown, weight: gid === null ? null : weight })), LINK_MS);
    return () => clearTimeout(timer);
  }, [phase, color, gid, edges, camera, without, weight, cmap, off]);
}

export default function NetworkPage({ network }: { network: string }) {
  const { phase, about, error, notice, work } = useNetwork();
  const sheet = useModel((s) => s.sheet);
  const [asked, setAsked] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: opened again on demand.
  useEffect(() => {
    void openNetwork(network, readLinked(location.search));
    return leaveNetwork;
  }, [network, asked]);
  useEffect(() => {
    if (!error?.offline) return;
    const timer = setTimeout(() => setAsked((n) => n + 1), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [error]);
  useEffect(() => {
    if (about) setPlace(about.name, counted(about.neurons, "neuron"));
    else setPlace(network);
  }, [network, about]);
  useLink();
  useKeysOf(KEYS);
  return (
    <main data-testid="app" data-page="network" data-state={phase} className={`app network sheet-${sheet}`}>
      <TopBar />
      <Side side="left" label="What to show">
        <NetworkPanel source={network} />
      </Side>
      <div className="centre">
        <NetworkView />
        {phase === "loading" ? (
          <p className="waiting" role="status">
            Opening the network…
          </p>
        ) : null}
        {phase === "error" && error ? <ErrorCurtain error={error} retry={() => setAsked((n) => n + 1)} /> : null}
        {phase === "empty" ? (
          <div className="curtain" data-testid="empty" role="status">
            <div>
              <strong>
                {about?.neurons === 0 ? "There is no neuron in this network" : "Nobody knows where its neurons are"}
              </strong>
              <p>Look inside its files, or at its figures on the right.</p>
            </div>
          </div>
        ) : null}
        {notice ? (
          <div className="banner warn" data-testid="notice" role="alert">
            <p>{notice}</p>
            <button type="button" onClick={() => change({ notice: null })}>
              Close
            </button>
          </div>
        ) : null}
      </div>
      <Side side="right" label="Legend and figures">
        {phase === "ready" ? <Legend /> : null}
        <NeuronCard />
        <Charts />
      </Side>
      <footer className="bottom">
        <div className="strip" data-testid="progress" role="status">
          {work}
        </div>
        <SheetButtons legend="Legend and figures" />
      </footer>
    </main>
  );
}

function step(by: number): void {
  const { about, color } = now();
  if (!about) return;
  const at = about.columns.findIndex((c) => c.key === color);
  const next = about.columns[(at + by + about.columns.length) % Math.max(1, about.columns.length)];
  if (next) void paintBy(next);
}

const KEYS: PageKeys = {
  lines: [
    ["Click", "Choose a neuron"],
    ["Esc", "Clear the neuron"],
    ["[ and ]", "Previous and next colour"],
    ["E", "Connections on and off"],
    ["R", "Show everything"],
    ["Drag", "Turn; with Shift or the right button, move"],
    ["Wheel, + and −", "Zoom (network focused)"],
    ["Arrows", "Turn (network focused)"],
  ],
  actions: {
    escape: unpick,
    r: () => change({ camera: null }),
    e: () => void drawEdges(now().edges === 0 ? 2_000 : 0),
    "[": () => step(-1),
    "]": () => step(1),
  },
};
