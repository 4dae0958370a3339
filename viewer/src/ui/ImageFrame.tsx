/** The image page, loaded when the first image is opened. */

import { lazy, Suspense } from "react";
import { TopBar } from "./TopBar";

const ImagePage = lazy(() => import("../views/image/ImagePage"));

export function ImageFrame({ image }: { image: string }) {
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
