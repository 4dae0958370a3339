/** What comes to the page of cells after the first points: filters, groups, the session. In one part of the page's own. */

import { useModel } from "../state/store";
import FiltersPanel from "../views/filters/Panel";
import GroupsPanel from "../views/groups/Panel";
import SessionPanel from "../views/session/Panel";
import { part } from "./part";

// Few data sets have them.
const FlowPanel = part(() => import("../views/flow/Panel"));
const NeighboursPanel = part(() => import("../views/neighbours/Panel"));

export default function CellsTools() {
  const connected = useModel((s) => s.identity?.stats.has_connectivity === true);
  const flows = useModel((s) => s.identity?.vector_fields !== undefined);
  return (
    <>
      <FiltersPanel />
      <GroupsPanel />
      {flows ? <FlowPanel /> : null}
      {connected ? <NeighboursPanel /> : null}
      <SessionPanel />
    </>
  );
}
