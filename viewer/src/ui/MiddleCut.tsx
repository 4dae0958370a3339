/** Cut in the middle by as much as there is too little room: names of one series often differ at their ends. */

const TAIL = 8;

export function MiddleCut({ text, tail = TAIL }: { text: string; tail?: number }) {
  // A name may hold anything; lines and tabulators in it would tear the row apart.
  const plain = text.replace(/\s/g, " ");
  const cut = text.length > 2 * tail ? text.length - tail : text.length;
  return (
    <span className="name">
      <span className="head">{plain.slice(0, cut)}</span>
      <span className="tail">{plain.slice(cut)}</span>
    </span>
  );
}
