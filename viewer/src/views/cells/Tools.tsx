/** Over the plot: what a drag does. */

import { set, type Tool, useModel } from "../../state/store";
import { ViewTools } from "../grid/ViewTools";

const TOOLS: readonly [Tool, string, string][] = [
  ["move", "Move (V)", "M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2"],
  [
    "lasso",
    "Select with a lasso (L)",
    "M4.5 10.5C2 9.5 1.5 7.5 2 6c.8-2.3 3.5-3.5 6.5-3.500s5.5 1.7 5.5 4-2.5 4-5.5 4c-1.5 0-2.7-.3-4-1m0 1.200a1.3 1.3 0 1 0 .1 0c.9 1.2.9 2.3-.6 3.3",
  ],
  ["rectangle", "Select with a rectangle (B)", "M2.5 3.500h11v9h-11z"],
];

export function Tools() {
  const { tool, geometry } = useModel();
  if (!geometry) return null;
  return (
    <div className="tools" role="toolbar" aria-label="What a drag does">
      {TOOLS.map(([id, words, path]) => (
        <button
          key={id}
          type="button"
          data-testid={`tool-${id}`}
          aria-pressed={tool === id}
          aria-label={words}
          title={id === "move" ? words : `${words}; Shift adds, Alt takes away`}
          onClick={() => set({ tool: id })}
        >
          <svg className={id === "rectangle" ? "icon dashed" : "icon"} viewBox="0 0 16 16" aria-hidden="true">
            <path d={path} />
          </svg>
        </button>
      ))}
      <ViewTools />
    </div>
  );
}
