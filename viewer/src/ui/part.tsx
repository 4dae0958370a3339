/**
 * Parts of a page that come when they are wanted.
 *
 * One that cannot be had says so where it would stand, and is asked for again: the page stays, and with it all that a
 * person has made on it.
 */

import { type ComponentType, useEffect, useState } from "react";

const AGAIN_MS = 3000;

type Load<P> = () => Promise<{ default: ComponentType<P> }>;

/** Styles that did not come are asked for once more; the build's own loader does it only once. */
function askStylesAgain(): void {
  for (const link of document.querySelectorAll<HTMLLinkElement>("link[rel=stylesheet]")) {
    if (!came(link)) link.replaceWith(link.cloneNode());
  }
}

/** A style that failed has, by browser, no sheet, one without rules, or one whose rules nobody may read. */
function came({ sheet }: HTMLLinkElement): boolean {
  try {
    return sheet !== null && sheet.cssRules.length > 0;
  } catch {
    return false;
  }
}

/**
 * A component that is fetched when it is first shown.
 *
 * `what` says what it is while it is on its way, and when it does not come; without it nothing is said.
 */
export function part<P extends object>(load: Load<P>, what = ""): ComponentType<P> {
  let known: ComponentType<P> | null = null;
  // biome-ignore lint/correctness/noComponentHookFactories: it is called at the level of modules, once for each part.
  return function Part(props: P) {
    const [own, setOwn] = useState(() => known);
    const [missing, setMissing] = useState(false);
    useEffect(() => {
      if (own !== null) return;
      let [wanted, timer] = [true, 0];
      const ask = () =>
        load().then(
          (found) => {
            known = found.default;
            if (wanted) setOwn(() => found.default);
          },
          () => {
            if (!wanted) return;
            setMissing(true);
            timer = window.setTimeout(() => {
              askStylesAgain();
              void ask();
            }, AGAIN_MS);
          },
        );
      void ask();
      return () => {
        wanted = false;
        clearTimeout(timer);
      };
    }, [own]);
    const Own = own;
    if (Own !== null) return <Own {...props} />;
    if (what === "") return null;
    if (!missing) return <p className="waiting">Opening {what}…</p>;
    return (
      <p className="note missing-part" role="status" data-testid="part-missing">
        There is no {what} yet: the server does not answer, or it was updated since this page was opened. It is tried
        again by itself; if it stays so, save the session (S) and reload the page.
      </p>
    );
  };
}
