/** What the models said: a card a face, with its crop and its probabilities as bars. */

import { SIDE } from "./faces.ts";
import { el, notice } from "./html.ts";
import { LABELS } from "./manifest.ts";
import { ranking, records, type Probabilities, type Reading } from "./reading.ts";
import type { Site } from "./site.ts";
import type { Words } from "./words.ts";

/** Returns the cards of a picture's faces, with links that save them. */
export function cards(reading: Reading, file: string, site: Site, words: Words): Node[] {
  const count = reading.boxes.length;
  if (count === 0) return [notice(words.say("no_face"), "empty")];
  const key = count === 1 ? "faces_one" : "faces_many";
  const head = words.say(key, { count, milliseconds: reading.milliseconds.toFixed(0) });
  const links = el("span", { class: "fx-links" }, words.say("download"), " ", ...downloads(reading, file, words));
  const faces = reading.boxes.map((_, face) => card(reading, face, site, words));
  return [
    el("div", { class: "fx-head", role: "status" }, el("span", {}, head), links),
    el("div", { class: "fx-cards" }, ...faces),
  ];
}

function card(reading: Reading, face: number, site: Site, words: Words): HTMLElement {
  const picture = el("img", {
    src: cropAddress(reading.crops[face]!),
    width: 96,
    height: 96,
    alt: words.say("face", { number: face + 1 }),
  });
  const crop = el("div", { class: "fx-crop" }, picture, el("b", {}, String(face + 1)), el("small", {}, words.say("crop")));
  const sections = reading.models.map((model, place) => {
    const titles = reading.models.length > 1 ? [el("h4", {}, model.title)] : [];
    const section = el("section", { "data-model": model.name });
    section.append(...titles, ...answer(reading.answers[place]![face]!, site, words));
    return section;
  });
  const label = ranking(reading.answers[0]![face]!)[0]![0];
  return el("article", { class: "fx-card", "data-label": label }, crop, el("div", { class: "fx-answers" }, ...sections));
}

/** Returns a label with its share, and all shares as bars; `number` stands before it where there is one. */
export function answer(probabilities: Probabilities, site: Site, words: Words, number = ""): Node[] {
  const ranked = ranking(probabilities);
  const [label, share] = ranked[0]!;
  const text = `${number} ${words.emotion(label)} `.trimStart();
  const head = el("p", { class: "fx-label" }, text, el("span", {}, percent(share, 0)));
  head.style.setProperty("--tone", site.colours[label]!);
  return [head, el("ol", { class: "fx-bars" }, ...ranked.map((each) => bar(each, site, words)))];
}

function bar([label, share]: [string, number], site: Site, words: Words): HTMLElement {
  const filled = el("i");
  filled.style.width = percent(share, 1).replace(" ", "");
  filled.style.background = site.colours[label]!;
  return el(
    "li",
    {},
    el("span", { class: "fx-name" }, words.emotion(label)),
    el("span", { class: "fx-track" }, filled),
    el("span", { class: "fx-share" }, percent(share, 1)),
  );
}

function percent(share: number, digits: number): string {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Returns a grey crop as the address of a picture. */
function cropAddress(crop: Uint8Array): string {
  const canvas = el("canvas", { width: SIDE, height: SIDE });
  const pixels = new ImageData(SIDE, SIDE);
  crop.forEach((value, place) => pixels.data.set([value, value, value, 255], 4 * place));
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  return canvas.toDataURL();
}

function downloads(reading: Reading, file: string, words: Words): HTMLElement[] {
  const json = JSON.stringify(records(reading, file), null, 2);
  return [
    link(words.say("download_json"), "faces.json", "application/json", json),
    // Without the mark that begins it, Excel takes UTF-8 for the system's own encoding.
    link(words.say("download_csv"), "faces.csv", "text/csv", `\ufeff${asCsv(reading, file)}`),
  ];
}

function link(text: string, name: string, kind: string, content: string): HTMLElement {
  const href = `data:${kind};charset=utf-8,${encodeURIComponent(content)}`;
  return el("a", { class: "fx-button", download: name, href }, text);
}

/** Returns a line a face and model, as the Gradio page's CSV has them. */
function asCsv(reading: Reading, file: string): string {
  const head = ["file", "model", "face", "x", "y", "width", "height", "label", ...LABELS, "error"];
  const lines = reading.models.flatMap((model, place) =>
    reading.boxes.map((box, face) => {
      const probabilities = reading.answers[place]![face]!;
      const shares = Array.from(probabilities, (share) => String(Number(share.toPrecision(9))));
      const sides = [box.x, box.y, box.width, box.height];
      return [file, model.name, face + 1, ...sides, ranking(probabilities)[0]![0], ...shares, ""];
    }),
  );
  return [head, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

/** Returns a value so that no spreadsheet takes it for a formula, quoted where it must be. */
function cell(value: string | number): string {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
