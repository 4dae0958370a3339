/** The name of a source or array as a link to its page, so that it can be opened in a new tab and copied. */

import type { ReactNode } from "react";
import type { Source } from "../../api/catalog";
import { canLookInside } from "../../state/inside";
import { hrefOf, navigate, type Route } from "../../state/route";

interface Props {
  route: Route | null;
  choose: () => void;
  title: string;
  children: ReactNode;
}

export function OpenLink({ route, choose, title, children }: Props) {
  if (route === null) {
    return (
      <span className="open" title={title}>
        {children}
      </span>
    );
  }
  return (
    <a
      className="open"
      href={hrefOf(route)}
      title={title}
      // The listing is one stop for the tabulator key; arrows and Enter do the rest.
      tabIndex={-1}
      onClick={(event) => {
        event.stopPropagation();
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        choose();
      }}
    >
      {children}
    </a>
  );
}

/** The way into a source as an HDF5 file, whatever page it opens on; nothing for other files. */
export function InsideLink({ source }: { source: Source }) {
  if (!canLookInside(source)) return null;
  const route: Route = { page: "inside", source: source.source_id };
  return (
    <a
      className="inside"
      data-testid="look-inside"
      href={hrefOf(route)}
      title="Look inside (HDF5)"
      aria-label={`Look inside ${source.name} (HDF5)`}
      // As above; the key is I.
      tabIndex={-1}
      onClick={(event) => {
        event.stopPropagation();
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        navigate(route);
      }}
    >
      inside
    </a>
  );
}
