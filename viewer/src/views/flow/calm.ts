/** Whether the person asks for little motion. */

import { useEffect, useState } from "react";

const CALM = "(prefers-reduced-motion: reduce)";

export function useCalm(): boolean {
  const [calm, setCalm] = useState(() => window.matchMedia?.(CALM).matches ?? false);
  useEffect(() => {
    const query = window.matchMedia?.(CALM);
    const follow = () => setCalm(query.matches);
    query?.addEventListener("change", follow);
    return () => query?.removeEventListener("change", follow);
  }, []);
  return calm;
}
