/** The image page, loaded when the first image is opened. */

import { lazy, Suspense, useEffect } from "react";
import { setPlace } from "../state/route";
import { TopBar } from "./TopBar";

const ImagePage = lazy(() => import("../views/image/ImagePage"));

export function ImageFrame({ image }: { image: string }) {
  // Its id, until the image itself tells its name.
  useEffect(() => setPlace(image), [image]);
  return (
    <main data-testid="app" data-page="image" className="app plain">
      <TopBar />
      <div className="page">
        <Suspense
          fallback={
            <p className="waiting" role="status">
              Opening the image…
            </p>
          }
        >
          <ImagePage image={image} />
        </Suspense>
      </div>
    </main>
  );
}
