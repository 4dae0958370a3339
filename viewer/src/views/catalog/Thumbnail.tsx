/** A source's or an array's picture; a drawing of its kind until it is there, or where there is none. */

import { memo, useEffect, useState } from "react";
import type { Kind, Source } from "../../api/catalog";
import { thumbnailUrl } from "../../api/catalog";
import { KindIcon } from "./KindIcon";
import { useHome } from "./live";
import { kindOf } from "./model";
import { hasNone, picture } from "./thumbnails";

const SIZE = 256;
/** What only flies past while scrolling is not asked for. */
const DWELL_MS = 80;

interface Props {
  source: Source;
  /** What there is a picture of: the source or one of its arrays; null where there is none. */
  id: string | null;
}

type State = "waiting" | "there" | "none" | "failed";

export const Thumbnail = memo(function Thumbnail({ source, id }: Props) {
  const url = id === null ? null : thumbnailUrl(id, source, SIZE);
  const { src, state } = usePicture(url);
  const drawing: Kind | "failed" = source.status === "failed" ? "failed" : kindOf(source);
  return (
    <span className={`thumbnail ${state}`} data-testid="thumbnail" data-state={state}>
      {src === null ? <KindIcon kind={drawing} /> : <img src={src} alt="" draggable={false} />}
      {state === "failed" ? <span className="no-picture">no picture</span> : null}
    </span>
  );
});

/** The last picture stays until the next one is there, so that a file being written does not flicker. */
function usePicture(url: string | null): { src: string | null; state: State } {
  const [src, setSrc] = useState<string | null>(null);
  const [state, setState] = useState<State>(url === null ? "none" : "waiting");
  // What could not be had while the server was away is asked for when it is back.
  const offline = useHome((s) => s.offline);
  useEffect(() => {
    if (offline) return;
    if (url === null || hasNone(url)) {
      setSrc(null);
      setState("none");
      return;
    }
    const own = new AbortController();
    const timer = setTimeout(() => {
      picture(url, own.signal).then(
        (found) => {
          if (own.signal.aborted) return;
          setSrc(found);
          setState("there");
        },
        () => {
          if (!own.signal.aborted) setState(hasNone(url) ? "none" : "failed");
        },
      );
    }, DWELL_MS);
    return () => {
      clearTimeout(timer);
      own.abort();
    };
  }, [url, offline]);
  return { src, state };
}
