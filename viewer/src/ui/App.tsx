/** The shell: which page is open, the bar above it, and what to say until it is there. */

import { lazy, Suspense, useEffect } from "react";
import { followHistory, useRoute } from "../state/route";
import { Door } from "./Door";
import { Help } from "./Help";
import { ImageFrame } from "./ImageFrame";
import { useKeys } from "./keys";
import { Opening, PageFailure } from "./Page";
import { useTheme } from "./theme";

const CellsPage = lazy(() => import("./CellsPage"));
const HomePage = lazy(() => import("../views/catalog/HomePage"));

export function App() {
  const visit = useRoute((s) => s.visit);
  useEffect(followHistory, []);
  useTheme();
  useKeys();
  return (
    <>
      <PageFailure key={visit}>
        <Suspense fallback={<Opening />}>
          <CurrentPage />
        </Suspense>
      </PageFailure>
      <Help />
    </>
  );
}

function CurrentPage() {
  const { route, visit } = useRoute();
  if (route.page === "cells") return <CellsPage key={visit} />;
  if (route.page === "image") return <ImageFrame key={route.image} image={route.image} />;
  if (route.page === "home") return <HomePage key={visit} />;
  return <Door key={visit} />;
}
