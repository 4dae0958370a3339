/** The way from a page to what is inside its file, where that is HDF5; its own part, as most files are not. */

import { useEffect, useState } from "react";
import { getSource } from "../api/catalog";
import { canLookInside } from "../state/inside";
import { linkTo } from "../state/route";

export default function LookInside({ source }: { source: string }) {
  const [can, setCan] = useState(false);
  useEffect(() => {
    const own = new AbortController();
    // Without an answer there is no link, and nothing else is missing.
    getSource(source, own.signal).then(
      (found) => setCan(canLookInside(found)),
      () => setCan(false),
    );
    return () => own.abort();
  }, [source]);
  if (!can) return null;
  return (
    <p className="note">
      <a data-testid="look-inside" {...linkTo({ page: "inside", source })}>
        Look inside (HDF5)
      </a>
    </p>
  );
}
