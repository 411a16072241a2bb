// Charts as SVG: themed by the style sheet, sharp at any size, and told in words to who cannot see them.
import { html } from "./lib.js";

const WIDTH = 600;
const HEIGHT = 140;
const FOOT = 18;

/**
 * Bars over time, stacked.
 * @param {{title: string, points: {at: string, values: number[]}[], names: string[], moods: string[], show?: (value: number) => string}} props
 */
export function Bars({ title, points, names, moods, show = String }) {
  const most = Math.max(1, ...points.map(({ values }) => values.reduce((sum, each) => sum + each, 0)));
  const step = WIDTH / Math.max(1, points.length);
  const bars = points.flatMap(({ at, values }, index) => {
    let foot = HEIGHT - FOOT;
    return values.map((value, which) => {
      const height = (value / most) * (HEIGHT - FOOT - 8);
      foot -= height;
      return html`<rect key=${`${index}-${which}`} class=${moods[which]} x=${(index * step + 1).toFixed(1)} y=${foot.toFixed(1)} width=${Math.max(1, step - 2).toFixed(1)} height=${height.toFixed(1)}>
        <title>${moment(at)}: ${show(value)} ${names[which]}</title>
      </rect>`;
    });
  });
  return html`<${Figure} title=${title} points=${points} names=${names} moods=${moods} show=${show} most=${show(most)}>${bars}<//>`;
}

/** Lines over time; where there is no value there is no line. Props as of `Bars`. */
export function Curves({ title, points, names, moods, show = String }) {
  const most = Math.max(0.001, ...points.flatMap(({ values }) => values.filter((each) => each !== null)));
  const step = WIDTH / Math.max(1, points.length - 1);
  const curves = names.map((_, which) => {
    let pen = "M";
    const path = points.map(({ values }, index) => {
      if (values[which] === null) {
        pen = "M";
        return "";
      }
      const y = HEIGHT - FOOT - (values[which] / most) * (HEIGHT - FOOT - 8);
      const part = `${pen}${(index * step).toFixed(1)} ${y.toFixed(1)}${pen === "M" ? "h0.01" : ""}`;
      pen = "L";
      return part;
    });
    return html`<path key=${which} class=${moods[which]} d=${path.join("")} />`;
  });
  return html`<${Figure} title=${title} points=${points} names=${names} moods=${moods} show=${show} most=${show(most)}>${curves}<//>`;
}

function Figure({ title, points, names, moods, show, most, children }) {
  return html`<figure>
    <figcaption>
      ${title}
      <span class="legend">${names.map((name, index) => html`<span key=${name}><i class=${moods[index]} aria-hidden="true"></i>${name}</span>`)}</span>
    </figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`${title}: ${words(points, names, show)}`} preserveAspectRatio="none">
      <line x1="0" x2=${WIDTH} y1=${HEIGHT - FOOT} y2=${HEIGHT - FOOT} class="axis" />
      ${children}
    </svg>
    <div class="axis-words" aria-hidden="true"><span>${points.length ? moment(points[0].at) : ""}</span><span>most ${most}</span><span>${points.length ? moment(points.at(-1).at) : ""}</span></div>
  </figure>`;
}

/** The chart in a sentence: of each name its least, its most and its last value. */
function words(points, names, show) {
  const told = names.map((name, which) => {
    const values = points.map((point) => point.values[which]).filter((value) => value !== null);
    if (!values.length) return `${name} has no values`;
    return `${name} from ${show(Math.min(...values))} to ${show(Math.max(...values))}, last ${show(values.at(-1))}`;
  });
  return `${told.join("; ")}.`;
}

export function moment(at) {
  const date = new Date(at);
  return date.toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}
