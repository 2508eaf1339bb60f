/** The choice of a model, and what the chosen ones say of themselves. */

import type { Client } from "./client.ts";
import { byId, el } from "./html.ts";
import type { Adoption, Manifest } from "./manifest.ts";
import type { Site, SiteModel } from "./site.ts";
import type { Words } from "./words.ts";

const ALL = "all";

/** Returns the options of the choice: each model, and all of them where there are several. */
export function fillChoice(choice: HTMLSelectElement, site: Site, words: Words): void {
  const chosen = choice.value || site.models[0]!.name;
  const everything = site.models.length > 1 ? [new Option(words.say("all_models"), ALL)] : [];
  choice.replaceChildren(...site.models.map((model) => new Option(model.title, model.name)), ...everything);
  choice.value = chosen;
}

/** Returns the models that are chosen. */
export function chosen(choice: HTMLSelectElement, site: Site): readonly SiteModel[] {
  return choice.value === ALL ? site.models : site.models.filter((model) => model.name === choice.value);
}

/** Loads the models that are chosen, and shows what each says of itself. */
export async function showManifests(models: readonly SiteModel[], client: Client, words: Words): Promise<void> {
  const manifests = await Promise.all(models.map((model) => client.ask({ kind: "load", model })));
  const parts = manifests.map((manifest, place) => {
    const rows = facts(manifest, models[place]!, words).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]);
    return el("section", {}, el("h4", {}, models[place]!.title), el("dl", {}, ...rows));
  });
  byId("manifest", HTMLElement).replaceChildren(...parts);
}

function facts(manifest: Manifest, model: SiteModel, words: Words): [string, string][] {
  const { precision } = manifest;
  const megabytes = (model.bytes / 1e6).toFixed(1);
  const parameters = manifest.parameters.toLocaleString("en");
  return [
    ...(manifest.adoption ? adopted(manifest.adoption, words) : trained(manifest, words)),
    [words.say("web_proof"), proof(manifest, words)],
    [words.say("framework"), manifest.framework],
    [words.say("web_file"), words.say("web_size", { megabytes, parameters, precision })],
    [words.say("web_digest"), words.say("web_verified", { digest: manifest.digest.slice(0, 16) })],
  ];
}

/** Returns what a model that was trained here learned from, and how good it is. */
function trained(manifest: Manifest, words: Words): [string, string][] {
  const { data, selection } = manifest;
  if (!data || !selection) return [];
  const counts = ["train", "validation", "test"].map((part) => (data.counts[part] ?? 0).toLocaleString("en"));
  const { part, epoch } = selection;
  return [
    [words.say("web_learned"), words.say("web_faces", { source: data.source, counts: counts.join(" + ") })],
    [words.say("protocol"), data.protocol],
    [words.say("web_accuracy"), accuracy(manifest, words)],
    [words.say("web_selected"), words.say("web_on_part", { part, epoch, share: percent(selection.accuracy) })],
  ];
}

/** Returns what is known of a model that others have trained. */
function adopted({ file, trained_on: said, validation }: Adoption, words: Words): [string, string][] {
  const unknown = said ? words.say("web_said", { said }) : words.say("web_unknown");
  const rows: [string, string][] = [[words.say("web_learned"), unknown], [words.say("web_adopted"), file]];
  if (!validation) return rows;
  const { source, accuracy: reached, faces } = validation;
  const measured = words.say("web_validated", { source, share: percent(reached), faces: faces.toLocaleString("en") });
  return [...rows, [words.say("web_validation"), measured]];
}

/** Returns the accuracy on the test part, which a lower precision was measured on; else that it is not known here. */
function accuracy(manifest: Manifest, words: Words): string {
  const test = manifest.parity.parts?.["test"];
  if (test === undefined) return words.say("web_not_stated");
  return words.say("web_measured", { share: percent(test.accuracy), faces: test.faces.toLocaleString("en") });
}

/** Returns how the float32 file was compared with the framework, and how often a lower precision agrees with it. */
function proof({ parity, precision, adoption }: Manifest, words: Words): string {
  const proven = parity.fp32 ?? parity;
  const largest = proven.largest_difference?.toExponential(1) ?? "–";
  const compared = words.say(adoption ? "web_compared_adopted" : "web_compared", { largest, faces: (proven.faces ?? 0).toLocaleString("en") });
  const agreement = parity.parts?.["test"]?.agreement;
  if (agreement === undefined) return compared;
  return `${compared} ${words.say("web_agreement", { precision, share: percent(agreement) })}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
