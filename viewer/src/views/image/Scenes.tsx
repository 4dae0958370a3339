/** The images of one source: scenes of a file, fields of a well. */

import type { Sibling } from "../../api/images";
import { shorten } from "../../data/format";
import { amendUrl, navigate } from "../../state/route";
import { linkOf } from "./link";
import { getImage, useImage } from "./state";

/** Goes to another image of the source, and takes along how planes are shown. */
export function goTo(arrayId: string): void {
  const state = getImage();
  const link = state.info ? linkOf(state.info, state, state.auto) : {};
  navigate({ page: "image", image: arrayId });
  amendUrl({ ...link, labels: null, view: null });
}

export function Scenes({ siblings, label }: { siblings: Sibling[]; label: string }) {
  const arrayId = useImage((s) => s.info?.array_id ?? "");
  return (
    <label className="row">
      <span>{label}</span>
      <select data-testid="scene-select" value={arrayId} onChange={(e) => goTo(e.target.value)}>
        {siblings.map(({ array_id, name }) => (
          <option key={array_id} value={array_id}>
            {shorten(name || array_id, 60)}
          </option>
        ))}
      </select>
    </label>
  );
}
