/** A plate as it lies on the bench: a grid of wells, then the fields of one. */

import { type PlateInfo, pathIn, type Sibling, type TileInfo } from "../../api/images";
import { goTo, Scenes } from "./Scenes";
import { useImage } from "./state";

/** The images of each well, by the well's path. */
export function fieldsByWell(info: TileInfo, plate: PlateInfo): Map<string, Sibling[]> {
  const found = new Map<string, Sibling[]>();
  const paths = new Set(plate.wells.map(({ path }) => path));
  for (const sibling of info.siblings) {
    const parts = pathIn(info.source_id, sibling.array_id).split("/");
    for (let n = parts.length - 1; n > 0; n -= 1) {
      const path = parts.slice(0, n).join("/");
      if (!paths.has(path)) continue;
      found.set(path, [...(found.get(path) ?? []), sibling]);
      break;
    }
  }
  return found;
}

export function Plate({ plate }: { plate: PlateInfo }) {
  const info = useImage((s) => s.info);
  if (!info) return null;
  const arrayId = info.array_id;
  const fields = fieldsByWell(info, plate);
  const own = [...fields].find(([, images]) => images.some((s) => s.array_id === arrayId));
  const wellAt = (row: number, column: number) =>
    plate.wells.find((well) => well.rowIndex === row && well.columnIndex === column);
  return (
    <>
      <div className="plate" data-testid="plate">
        <table>
          <caption className="visually-hidden">Wells of {plate.name || "the plate"}</caption>
          <thead>
            <tr>
              <td />
              {plate.columns.map(({ name }) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {plate.rows.map((row, r) => (
              <tr key={row.name}>
                <th scope="row">{row.name}</th>
                {plate.columns.map((column, c) => {
                  const well = wellAt(r, c);
                  const first = well && fields.get(well.path)?.[0];
                  const name = `${row.name}${column.name}`;
                  return (
                    <td key={column.name}>
                      {well && first ? (
                        <button
                          type="button"
                          className="well"
                          data-testid="well"
                          data-well={name}
                          aria-pressed={own?.[0] === well.path}
                          aria-label={`Well ${name}`}
                          title={`Well ${name}`}
                          onClick={() => goTo(first.array_id)}
                        />
                      ) : (
                        <span className="well none" />
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {own && own[1].length > 1 ? <Scenes siblings={own[1]} label="Field" /> : null}
    </>
  );
}
