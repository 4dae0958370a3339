/** What comes to the page of cells after the first points: filters, groups, the session. In one part of the page's own. */

import FiltersPanel from "../views/filters/Panel";
import GroupsPanel from "../views/groups/Panel";
import SessionPanel from "../views/session/Panel";

export default function CellsTools() {
  return (
    <>
      <FiltersPanel />
      <GroupsPanel />
      <SessionPanel />
    </>
  );
}
