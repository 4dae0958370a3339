/** The dialogue with a notebook: what is done here is told to Python, and what Python says is done. Comes when needed. */

import { getJson, getResponse, isAbort, toApiError } from "../api/client";
import { isCommands } from "../api/shapes";
import { type Bits, members, size } from "../data/bits";
import { paint } from "./actions";
import { sessionNow } from "./files";
import { findGene } from "./genefind";
import { choose, GROUP_COLORS, setGroups } from "./grouping";
import { fromBytes } from "./packing";
import { useSession } from "./session";
import { type Color, get, type Model, set, useModel } from "./store";
import { moveCamera } from "./views";

const PLACE = "api/dialogue/";
const AGAIN_MS = 2000;
/** Ids of groups that Python made begin so. */
const MADE = "notebook ";

interface Command {
  number: number;
  cells: boolean;
  do: "select" | "highlight" | "clear" | "color" | "camera" | "session";
  n?: number;
  name?: string | null;
  color?: string | null;
  key?: string | null;
  camera?: number[] | null;
}

interface Answer {
  last: number;
  commands: Command[];
  ended: boolean;
}

type Kind = "ready" | "selection" | "hover" | "click" | "session" | "problem";

async function put(path: string, body: BodyInit): Promise<void> {
  await getResponse(`${PLACE}events/${path}`, undefined, { method: "PUT", body });
}

function tell(kind: Kind, what: unknown): Promise<void> {
  return put(kind, JSON.stringify(what));
}

/** Tells the latest of something whenever it changed, one at a time: what changes meanwhile is told after that. */
function latest<T>(send: (value: T) => Promise<void>): (value: T) => void {
  let next: { value: T } | null = null;
  let busy = false;
  return (value) => {
    next = { value };
    if (busy) return;
    busy = true;
    void (async () => {
      while (next !== null) {
        const now: { value: T } = next;
        next = null;
        // Not told: the server is away, which the page says by itself.
        await send(now.value).catch(() => undefined);
      }
      busy = false;
    })();
  };
}

/** As bits, or as numbers where that is shorter. */
export function packed(cells: Bits | null, count: number, n: number): { form: "bits" | "numbers"; body: Uint8Array } {
  if (cells === null) return { form: "numbers", body: new Uint8Array() };
  if (count * 4 < Math.ceil(n / 8)) {
    return { form: "numbers", body: new Uint8Array(Uint32Array.from(members(cells)).buffer) };
  }
  return { form: "bits", body: new Uint8Array(cells.buffer, cells.byteOffset, Math.ceil(n / 8)) };
}

function cellCount(): number {
  return get().identity?.stats.n_cells ?? 0;
}

function tellSelection(selection: Model["selection"]): Promise<void> {
  const n = cellCount();
  const { form, body } = packed(selection?.cells ?? null, selection?.count ?? 0, n);
  return put(`selection?form=${form}&n=${n}`, new Blob([body as Uint8Array<ArrayBuffer>]));
}

function isReady({ phase, geometry, identity, progress }: Model): boolean {
  return (
    phase === "ready" && identity !== null && geometry?.arrived === geometry?.n && Object.keys(progress).length === 0
  );
}

function untilReady(): Promise<void> {
  return new Promise((done) => {
    if (isReady(get())) return done();
    const stop = useModel.subscribe((state) => {
      if (!isReady(state)) return;
      stop();
      done();
    });
  });
}

async function cellsOf(command: Command): Promise<Bits> {
  const n = cellCount();
  if (command.n !== n) throw new Error(`The notebook means ${command.n} cells, there are ${n} here.`);
  const response = await getResponse(`${PLACE}cells/${command.number}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length !== Math.ceil(n / 8)) throw new Error("The notebook's cells did not arrive whole.");
  return fromBytes(bytes, n);
}

/** A column comes first, then a gene's name, then its symbol. */
async function colorOf(key: string | null): Promise<Color> {
  if (key === null) return { kind: "none" };
  const { identity, expression } = get();
  const field = identity?.obs_fields.find((f) => f.key === key && f.kind !== "text");
  if (field) return { kind: "field", index: field.index, key };
  const gene = identity && expression !== null ? await findGene(identity, expression, null, key) : null;
  if (gene) return gene;
  const { genes } = get();
  const symbols = genes?.expression === expression ? genes : await genesNow();
  const index = symbols?.symbols?.indexOf(key) ?? -1;
  const name = symbols?.names[index];
  if (name !== undefined && expression !== null) return { kind: "gene", index, key: name, expression };
  throw new Error(`There is no column of obs and no gene “${key}” here.`);
}

async function genesNow() {
  const { loadGenes } = await import("./actions");
  return loadGenes();
}

async function highlight(command: Command): Promise<void> {
  const cells = await cellsOf(command);
  const name = command.name ?? "";
  const others = get().groups.filter((group) => group.id !== MADE + name);
  const color = command.color ?? GROUP_COLORS[others.length % GROUP_COLORS.length] ?? "#d55e00";
  const count = size(cells);
  setGroups(count === 0 ? others : [...others, { id: MADE + name, name, color, cells, count, shown: true }]);
}

async function act(command: Command): Promise<void> {
  switch (command.do) {
    case "select":
      choose(await cellsOf(command));
      break;
    case "highlight":
      await highlight(command);
      break;
    case "clear": {
      const { name } = command;
      const gone = (id: string) => (typeof name === "string" ? id === MADE + name : id.startsWith(MADE));
      setGroups(get().groups.filter(({ id }) => !gone(id)));
      break;
    }
    case "color":
      await paint(await colorOf(command.key ?? null));
      break;
    case "camera":
      moveCamera(get().focused, command.camera ?? null);
      break;
    case "session":
      await tell("session", await sessionNow());
      break;
  }
}

/** Asks for commands for as long as there is a notebook. */
async function obey(): Promise<void> {
  let after: number | null = null;
  for (;;) {
    let answer: Answer;
    try {
      answer = await getJson<Answer>(
        `${PLACE}commands${after === null ? "" : `?after=${after}`}`,
        undefined,
        isCommands,
      );
    } catch (error) {
      if (isAbort(error)) return;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
      continue;
    }
    if (answer.ended) {
      set({ notice: "The notebook has ended this view." });
      return;
    }
    await untilReady();
    for (const command of answer.commands) {
      await act(command).catch((error) => tell("problem", { message: toApiError(error).message }));
    }
    after = answer.last;
  }
}

function report(): void {
  const selected = latest(tellSelection);
  const hovered = latest((cell: number | null) => tell("hover", { cell }));
  let opened: string | null = null;
  const look = (state: Model, before: Model | null) => {
    const { identity, geometry } = state;
    if (identity !== null && opened !== identity.id && isReady(state)) {
      opened = identity.id;
      const told = { n_cells: identity.stats.n_cells, dataset: identity.id, dimensions: geometry?.dim };
      void tellSelection(state.selection).then(() => tell("ready", told));
    } else if (before !== null && opened !== null && state.selection !== before.selection) selected(state.selection);
    if (before !== null && state.hover?.cell !== before.hover?.cell) hovered(state.hover?.cell ?? null);
  };
  useModel.subscribe(look);
  look(get(), null);
  addEventListener(
    "click",
    ({ target, button, shiftKey, ctrlKey, metaKey }) => {
      const { hover } = get();
      if (hover === null || !(target instanceof Element) || !target.closest("[data-testid=scatter]")) return;
      void tell("click", { cell: hover.cell, button, shift: shiftKey, ctrl: ctrlKey || metaKey }).catch(
        () => undefined,
      );
    },
    true,
  );
}

/** Begins once the server lets this page ask. */
export function begin(): void {
  const start = () => {
    report();
    void obey();
  };
  if (useSession.getState().lock === "open") {
    start();
    return;
  }
  const stop = useSession.subscribe(({ lock }) => {
    if (lock !== "open") return;
    stop();
    start();
  });
}
