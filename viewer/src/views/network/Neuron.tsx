/** The neuron that was picked: where it is, and what it is connected to. */

import { count, number } from "../../data/format";
import { populationOf } from "./model";
import { chooseWeight, type Partners, pick, unpick, useNetwork, weightsOf } from "./state";

const MOST_ROWS = 100;

export function NeuronCard() {
  const { about, picked, weight } = useNetwork();
  if (!about || !picked) return null;
  const weights = weightsOf(about);
  return (
    <section className="group" data-testid="neuron" data-gid={picked.gid}>
      <h2>
        {picked.population} {picked.gid}
      </h2>
      <p className="note" aria-live="polite">
        {picked.place.every(Number.isFinite)
          ? `At ${picked.place.map((v) => number(Number(v.toFixed(1)))).join(", ")} µm`
          : "Nobody knows where it is"}
      </p>
      {weights.length > 0 ? (
        <label className="row">
          <span>Colour</span>
          <select
            data-testid="weight-select"
            value={weight ?? ""}
            onChange={(event) => chooseWeight(event.target.value || null)}
          >
            <option value="">By direction</option>
            {weights.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      <List title="Inputs" testid="inputs" found={picked.inputs} />
      <List title="Outputs" testid="outputs" found={picked.outputs} />
      <button type="button" data-testid="unpick" onClick={unpick}>
        Clear
      </button>
    </section>
  );
}

function List({ title, testid, found }: { title: string; testid: string; found: Partners | null }) {
  const { about, weight } = useNetwork();
  const populations = about?.populations ?? [];
  if (!found) return <p className="note">{title}: reading…</p>;
  const n = found.gids.length;
  return (
    <details className="partners" data-testid={testid} data-count={n}>
      <summary>
        <span className={`dash ${testid}`} aria-hidden="true" /> {title} <span className="count">{count(n)}</span>
      </summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Neuron</th>
            <th scope="col">Population</th>
            {found.values ? <th scope="col">{weight?.split("/").at(-1)}</th> : null}
          </tr>
        </thead>
        <tbody>
          {Array.from(found.gids.subarray(0, MOST_ROWS), (gid, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: two neurons can be connected more than once.
            <tr key={i}>
              <td>
                <button type="button" className="only" onClick={() => void pick(gid)} aria-label={`Show neuron ${gid}`}>
                  {gid}
                </button>
              </td>
              <td>{populationOf(populations, gid)?.name}</td>
              {found.values ? <td>{number(found.values[i] ?? Number.NaN)}</td> : null}
            </tr>
          ))}
        </tbody>
      </table>
      {n > MOST_ROWS ? <p className="note">and {count(n - MOST_ROWS)} more</p> : null}
    </details>
  );
}
