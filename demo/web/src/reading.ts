/** From a picture to what models see in it; the documents are those of `inference/photos/reading.py`. */

import type { FaceBox, Policy } from "./faces.ts";
import { LABELS, type Manifest } from "./manifest.ts";
import type { SiteModel } from "./site.ts";

/** The seven probabilities of a face, in the order of `LABELS`. */
export type Probabilities = Readonly<Float32Array>;

/** One picture's faces, the largest first, and what each model says of each: `answers[model][face]`. */
export interface Reading {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly FaceBox[];
  readonly crops: readonly Uint8Array[];
  readonly answers: readonly (readonly Probabilities[])[];
  readonly models: readonly SiteModel[];
  readonly milliseconds: number;
}

/** What the page asks of its worker. */
export type Request =
  | { readonly kind: "start"; readonly base: string }
  | { readonly kind: "load"; readonly model: SiteModel }
  | { readonly kind: "read"; readonly picture: Blob; readonly name: string; readonly policy: Policy; readonly models: readonly SiteModel[] }
  | { readonly kind: "frame"; readonly bitmap: ImageBitmap; readonly models: readonly SiteModel[] };

/** What the worker answers to each kind of request. */
export interface Answers {
  readonly start: { readonly threads: number };
  readonly load: Manifest;
  readonly read: Reading;
  readonly frame: Reading;
}

/** Returns every label with its probability, the most probable first. */
export function ranking(probabilities: Probabilities): [string, number][] {
  const all = LABELS.map((label, place): [string, number] => [label, probabilities[place]!]);
  return all.sort((first, second) => second[1] - first[1]);
}

/** Returns the records of a picture, one a model, as `predict --json` has them, with the model's name. */
export function records(reading: Reading, file: string): object[] {
  return reading.models.map((model, place) => ({
    model: model.name,
    file,
    notes: [],
    error: null,
    faces: reading.boxes.map((box, face) => {
      const probabilities = reading.answers[place]![face]!;
      const shares = Object.fromEntries(LABELS.map((label, at) => [label, probabilities[at]]));
      return { box, label: ranking(probabilities)[0]![0], probabilities: shares };
    }),
  }));
}
