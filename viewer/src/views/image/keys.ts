/** The keys of the image page, as the list under `?` tells them. */

export const IMAGE_KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["← and →", "Back and forward in time, or in depth"],
  [", and .", "Down and up in depth (z)"],
  ["Space", "Play, stop"],
  ["+ and −", "Zoom"],
  ["Shift and arrows", "Move, or turn in 3D"],
  ["0", "Full view"],
  ["1 to 6", "Show or hide a channel"],
  ["C", "To the channels"],
  ["A", "Automatic contrast"],
  ["M", "Plane, maximum over z, 3D"],
  ["L", "Labels on, off"],
  ["S", "Save a picture"],
  ["Drag, wheel", "Move (turn in 3D), zoom"],
];
