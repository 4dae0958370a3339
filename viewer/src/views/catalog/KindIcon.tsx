/** A drawing for what has no picture: cells, an image, a network, an array, or something that could not be read. */

import type { Kind } from "../../api/catalog";

const DRAWINGS: Record<Kind | "failed", string> = {
  cells:
    "M7 15.5h.01M10 12h.01M8 8.5h.01M12 16h.01M13 9.500h.01M16 13h.01M15.500 17h.01M17 8h.01M11.500 6h.01M18 10.500h.01",
  images: "M4 6h16v12H4zM4 15l5-5 5 5 2.500-2.500L20 16M15.500 9.500h.01",
  network: "M6 7h.01M17.500 6h.01M12 13h.01M6.500 18h.01M18 17.500h.01M6 7l6 6 5.500-7M12 13l-5.500 5M12 13l6 4.500",
  arrays: "M5 5h14v14H5zM5 9.670h14M5 14.330h14M9.670 5v14M14.330 5v14",
  failed: "M12 4.500 3.500 19h17zM12 10v4M12 16.500h.01",
};

export function KindIcon({ kind }: { kind: Kind | "failed" }) {
  return (
    <svg className={`kind-icon ${kind}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={DRAWINGS[kind]} />
    </svg>
  );
}
