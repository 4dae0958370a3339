/** The shell: which page is open, the bar above it, and what to say until it is there. */

import { lazy, Suspense, useEffect } from "react";
import { followHistory, useRoute } from "../state/route";
import { useSession } from "../state/session";
import { Door } from "./Door";
import { Help } from "./Help";
import { ImageFrame } from "./ImageFrame";
import { useKeys } from "./keys";
import { Opening, PageFailure } from "./Page";
import { useSheets } from "./sheets";
import { useTheme } from "./theme";
import { Unlock } from "./Unlock";

const CellsPage = lazy(() => import("./CellsPage"));
const HomePage = lazy(() => import("../views/catalog/HomePage"));
const NetworkPage = lazy(() => import("../views/network/NetworkPage"));
const InsidePage = lazy(() => import("../views/h5web/InsidePage"));

export function App() {
  const visit = useRoute((s) => s.visit);
  const { lock, entering } = useSession();
  useEffect(followHistory, []);
  useTheme();
  useKeys();
  useSheets();
  // Pages ask for data as soon as they are there.
  if (lock === "missing" || lock === "wrong") return entering === "link" ? <Opening what="the data" /> : <Unlock />;
  return (
    <>
      <PageFailure key={visit}>
        <Suspense fallback={<Opening />}>
          <CurrentPage />
        </Suspense>
      </PageFailure>
      <Help />
      {lock === "ended" ? <Unlock /> : null}
    </>
  );
}

function CurrentPage() {
  const { route, visit } = useRoute();
  if (route.page === "cells") return <CellsPage key={visit} />;
  if (route.page === "image") return <ImageFrame key={route.image} image={route.image} />;
  if (route.page === "network") return <NetworkPage key={route.network} network={route.network} />;
  if (route.page === "inside") return <InsidePage key={route.source} source={route.source} />;
  if (route.page === "home") return <HomePage key={visit} />;
  return <Door key={visit} />;
}
