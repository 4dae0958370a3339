/** Cut in the middle by as much as there is too little room: names of one series often differ at their ends. */

const TAIL = 8;
const JOINED = /^[\p{sc=Arab}\p{sc=Syrc}\p{sc=Mong}]{2}$/u;
const words = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

/** Where a name may be cut at or before a place: within no sign made of several, and between no letters that join. */
export function cutBefore(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const cut = words?.segment(text).containing(at)?.index ?? at;
  if (!JOINED.test(text.slice(cut - 1, cut + 1))) return cut;
  return text.lastIndexOf(" ", cut - 1) + 1 || text.length;
}

export function MiddleCut({ text, tail = TAIL }: { text: string; tail?: number }) {
  // A name may hold anything; lines and tabulators in it would tear the row apart.
  const plain = text.replace(/\s/g, " ");
  const cut = cutBefore(plain, text.length > 2 * tail ? text.length - tail : text.length);
  return (
    <span className="name" dir="auto">
      <span className="head">{plain.slice(0, cut)}</span>
      <span className="tail">{plain.slice(cut)}</span>
    </span>
  );
}
