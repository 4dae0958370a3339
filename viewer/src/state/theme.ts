/** Light, dark, or as the system has it: one choice for every page, told by the link. */

export type Theme = "system" | "light" | "dark";

export const NEXT_THEME: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

export function readTheme(search: string): Theme {
  const theme = new URLSearchParams(search).get("theme");
  return theme === "dark" || theme === "light" ? theme : "system";
}
