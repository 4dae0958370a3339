import { createRoot } from "react-dom/client";
import { startSession } from "./state/session";
import { set } from "./state/store";
import { readTheme } from "./state/theme";
import { App } from "./ui/App";
import "./ui/tokens.css";
import "./ui/app.css";

startSession();
set({ theme: readTheme(location.search) });
const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
