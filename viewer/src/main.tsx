import { createRoot } from "react-dom/client";
import { App } from "./ui/App";
import "./ui/tokens.css";
import "./ui/app.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
