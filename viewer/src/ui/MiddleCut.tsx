/** Cut in the middle by as much as there is too little room: names of one series often differ at their ends. */

const TAIL = 8;

export function MiddleCut({ text, tail = TAIL }: { text: string; tail?: number }) {
  const cut = text.length > 2 * tail ? text.length - tail : text.length;
  return (
    <span className="name">
      <span className="head">{text.slice(0, cut)}</span>
      <span className="tail">{text.slice(cut)}</span>
    </span>
  );
}
