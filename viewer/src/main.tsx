import { createRoot } from "react-dom/client";
import { startSession } from "./state/session";
import { set } from "./state/store";
import { readTheme } from "./state/theme";
import { App } from "./ui/App";
import "./ui/tokens.css";
import "./ui/app.css";

startSession();
set({ theme: readTheme(location.search) });
if ("notebook" in document.documentElement.dataset) void import("./state/notebook").then(({ begin }) => begin());
const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
