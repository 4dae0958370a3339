/** What comes to the page of cells after the first points: filters, groups, the session. In one part of the page's own. */

import { lazy, Suspense } from "react";
import { useModel } from "../state/store";
import FiltersPanel from "../views/filters/Panel";
import GroupsPanel from "../views/groups/Panel";
import SessionPanel from "../views/session/Panel";

// Few data sets have them.
const FlowPanel = lazy(() => import("../views/flow/Panel"));
const NeighboursPanel = lazy(() => import("../views/neighbours/Panel"));

export default function CellsTools() {
  const connected = useModel((s) => s.identity?.stats.has_connectivity === true);
  const flows = useModel((s) => s.identity?.vector_fields !== undefined);
  return (
    <>
      <FiltersPanel />
      <GroupsPanel />
      <Suspense>
        {flows ? <FlowPanel /> : null}
        {connected ? <NeighboursPanel /> : null}
      </Suspense>
      <SessionPanel />
    </>
  );
}
