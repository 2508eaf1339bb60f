/** The manifest that every artifact carries, as far as the page shows it; `inference/manifest.py` describes all of it. */

import { InputError } from "./errors.ts";
import { metadata } from "./wire.ts";

export const LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"] as const;
const METADATA_KEY = "ferox.manifest";
const READABLE: readonly unknown[] = [1, 2];

/** The faces that a model learned from, and how they were divided. */
export interface DataRecord {
  readonly source: string;
  readonly protocol: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** What a lower precision costs beside float32 on some faces; shares are 0 to 1. */
export interface Fidelity {
  readonly faces: number;
  readonly accuracy: number;
  readonly agreement: number;
}

/** How an artifact was proven. */
export interface Parity {
  readonly passed: boolean;
  readonly tolerance?: number | null;
  readonly largest_difference?: number | null;
  readonly faces?: number | null;
  readonly parts?: Readonly<Record<string, Fidelity>>;
  readonly fp32?: Parity | null;
}

/** The epoch that became the artifact, and its accuracy on the part that it was picked on. */
export interface Selection {
  readonly part: string;
  readonly epoch: number;
  readonly accuracy: number;
}

/** What is known of a model that others have trained: who says what of its training, and how it does on some faces. */
export interface Adoption {
  readonly file: string;
  readonly trained_on: string | null;
  readonly validation: { readonly source: string; readonly faces: number; readonly accuracy: number } | null;
}

/** What an artifact says of itself; of an adopted model, `data` and `selection` are unknown. */
export interface Manifest {
  readonly contract: number;
  readonly digest: string;
  readonly model: string;
  readonly parameters: number;
  readonly precision: string;
  readonly framework: string;
  readonly labels: readonly string[];
  readonly data: DataRecord | null;
  readonly selection: Selection | null;
  readonly parity: Parity;
  readonly batch?: number | null;
  readonly adoption?: Adoption | null;
}

/** Returns the manifest of a model's bytes; those that `ferox web` wrote have been read by Python's engine before. */
export function parseManifest(content: Uint8Array, name: string): Manifest {
  const text = metadata(content, name).get(METADATA_KEY);
  if (text === undefined) throw new InputError(`${name} has no ${METADATA_KEY}: it was not made by ferox; export it anew`);
  const manifest = JSON.parse(text) as Manifest;
  if (!READABLE.includes(manifest.contract)) {
    const known = READABLE.join(" and ");
    throw new InputError(`${name} follows contract version ${String(manifest.contract)}, this page reads ${known}`);
  }
  if (manifest.labels.join() !== LABELS.join()) {
    throw new InputError(`${name}: its labels are ${manifest.labels.join(", ")}; expected ${LABELS.join(", ")}`);
  }
  return manifest;
}
