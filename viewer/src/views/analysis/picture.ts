/** A chart as a file: the very element on the page, with the styles that it has there written into it. */

const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-dasharray",
  "stroke-linecap",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "dominant-baseline",
] as const;
const DRAWN = "path,rect,circle,line,polyline,polygon,text,tspan,g";

/** What belongs to the page only: what one points at, and what takes the keyboard. */
const OF_THE_PAGE = "[data-page-only]";

export function toSvg(chart: SVGSVGElement): string {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  const originals = chart.querySelectorAll(DRAWN);
  copy.querySelectorAll(DRAWN).forEach((element, i) => {
    const original = originals[i];
    if (!original) return;
    const style = getComputedStyle(original);
    for (const name of STYLES) {
      const value = style.getPropertyValue(name);
      if (value !== "" && value !== "normal") element.setAttribute(name, value);
    }
    for (const name of ["class", "tabindex", "role", "style"]) element.removeAttribute(name);
  });
  for (const element of copy.querySelectorAll(OF_THE_PAGE)) element.remove();
  const [width, height] = sizeOf(chart);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  copy.removeAttribute("class");
  copy.prepend(paper(chart, width, height));
  return new XMLSerializer().serializeToString(copy);
}

function paper(chart: SVGSVGElement, width: number, height: number): SVGRectElement {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("width", String(width));
  rect.setAttribute("height", String(height));
  rect.setAttribute("fill", backgroundOf(chart));
  return rect;
}

function backgroundOf(element: Element | null): string {
  for (let at = element; at !== null; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color !== "" && color !== "transparent" && !/,\s*0\)$|\/\s*0\)$/.test(color)) return color;
  }
  return "#ffffff";
}

function sizeOf(chart: SVGSVGElement): [number, number] {
  return [Number(chart.getAttribute("width")), Number(chart.getAttribute("height"))];
}

/** Pixels of the picture for one of the page: 300 dots per inch are 3.125 times the 96 of CSS. */
export const PRINT_SCALE = 300 / 96;

export async function toPng(chart: SVGSVGElement, scale = PRINT_SCALE): Promise<Blob> {
  const [width, height] = sizeOf(chart);
  const url = URL.createObjectURL(new Blob([toSvg(chart)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise<Blob>((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large to be made"))));
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Hands a file of the browser's own to whoever looks at the page. */
export function save(content: Blob | string, name: string, type = "text/plain"): void {
  const link = document.createElement("a");
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
