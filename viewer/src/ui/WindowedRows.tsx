/** The rows of a long legend: only those in sight exist. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import { LegendRow, type RowsProps } from "./CategoryLegend";

const ROW_PX = 26;
const TOUCH_ROW_PX = 40;

export default function WindowedRows({ rows, ...rest }: RowsProps) {
  const box = useRef<HTMLUListElement>(null);
  const touch = window.matchMedia?.("(max-width: 720px)").matches ?? false;
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => (touch ? TOUCH_ROW_PX : ROW_PX),
    overscan: 12,
  });
  return (
    <ul ref={box} className="legend-rows windowed">
      <li aria-hidden="true" className="spacer" style={{ height: list.getTotalSize() }} />
      {list.getVirtualItems().map((item) => {
        const row = rows[item.index];
        return row ? <LegendRow key={row.code} row={row} top={item.start} {...rest} /> : null;
      })}
    </ul>
  );
}
