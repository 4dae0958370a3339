/** The theme on the page. */

import { useEffect } from "react";
import { amendUrl, useRoute } from "../state/route";
import { set, useModel } from "../state/store";
import { NEXT_THEME, readTheme } from "../state/theme";

export function cycleTheme(): void {
  set(({ theme }) => ({ theme: NEXT_THEME[theme] }));
}

/** Paints the page in its theme and, whichever page is opened, writes it into the link. */
export function useTheme(): void {
  const theme = useModel((s) => s.theme);
  const visit = useRoute((s) => s.visit);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page that was left with another theme takes this one.
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    if (readTheme(location.search) !== theme) amendUrl({ theme: theme === "system" ? null : theme });
  }, [theme, visit]);
}
