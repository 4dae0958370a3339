/** How many there are, how many of them match, and whether more are being looked for. */

import type { Query } from "../../api/catalog";
import { count, counted } from "../../data/format";
import { useHome } from "./live";
import { narrowed } from "./model";

export function Strip({ change }: { change: (changes: Partial<Query>) => void }) {
  const { catalog, total, query, asking } = useHome();
  const all = catalog?.sources ?? total ?? 0;
  return (
    <footer className="strip bottom" data-testid="counts">
      <span role="status">
        {catalog?.scanning ? `${count(all)} found, still looking…` : catalog === null ? "" : counted(all, "source")}
        {narrowed(query) && total !== null && !asking ? ` · ${count(total)} match` : ""}
      </span>
      {catalog?.scanning ? <progress aria-label="Looking for files" /> : null}
      {catalog && catalog.failed > 0 && query.status !== "failed" ? (
        <button type="button" className="link warn-text" onClick={() => change({ status: "failed" })}>
          {count(catalog.failed)} could not be read
        </button>
      ) : null}
      <span className="space" />
      <span className="roots" title={catalog?.roots.join("\n")}>
        {catalog?.roots.join(", ")}
      </span>
    </footer>
  );
}
