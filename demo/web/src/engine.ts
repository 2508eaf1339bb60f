/**
 * Runs any artifact through onnxruntime-web, after its digest was verified.
 *
 * The counterpart of `inference/engine.py`, whose checks of operators and interface `ferox web` has made already: here the
 * digest says that it is still the same file.
 */

import * as ort from "onnxruntime-web/wasm";

import { InputError } from "./errors.ts";
import { SIDE } from "./faces.ts";
import { LABELS, parseManifest, type Manifest } from "./manifest.ts";

const BATCH = 64;
const MOST_THREADS = 4;
const DIGEST_MARK = new TextEncoder().encode('"digest": "');
const DIGITS = 64;
const PIXELS = SIDE * SIDE;

/** Tells onnxruntime-web where its own files lie. Threads need a page that is isolated from those of other origins. */
export function prepare(base: string): number {
  const threads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.wasm.wasmPaths = {
    mjs: new URL("ort-wasm-simd-threaded.mjs", base).href,
    wasm: new URL("ort-wasm-simd-threaded.wasm", base).href,
  };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return threads;
}

/** A loaded artifact; make one with `Engine.load`. */
export class Engine {
  private constructor(
    readonly name: string,
    readonly manifest: Manifest,
    private readonly session: ort.InferenceSession,
  ) {}

  /** Verifies and loads an artifact, whose digest must also be the one that the site was written with. */
  static async load(content: Uint8Array<ArrayBuffer>, name: string, digest: string): Promise<Engine> {
    const stated = await verifyDigest(content, name);
    const manifest = parseManifest(content, name);
    if (manifest.digest !== stated || stated !== digest) {
      throw new InputError(`${name} is another file than this site was made with; load the page again`);
    }
    const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    return new Engine(name, manifest, session);
  }

  /** Returns seven probabilities for each grey face of 48 x 48 bytes. */
  async predict(faces: readonly Uint8Array[]): Promise<Float32Array[]> {
    const size = this.manifest.batch ?? BATCH;
    const answers: Float32Array[] = [];
    for (let start = 0; start < faces.length; start += size) {
      answers.push(...(await this.answered(faces.slice(start, start + size))));
    }
    return answers;
  }

  private async answered(faces: readonly Uint8Array[]): Promise<Float32Array[]> {
    // A fixed batch is filled with black faces.
    const count = this.manifest.batch ?? faces.length;
    const pixels = new Uint8Array(count * PIXELS);
    faces.forEach((face, place) => pixels.set(face, place * PIXELS));
    const feeds = { pixels: new ort.Tensor("uint8", pixels, [count, SIDE, SIDE]) };
    const { probabilities } = await this.session.run(feeds, ["probabilities"]);
    const values = probabilities?.data;
    if (!(values instanceof Float32Array) || values.length !== count * LABELS.length) {
      throw new InputError(`${this.name} does not answer with seven probabilities a face; export it anew`);
    }
    return faces.map((_, face) => proper(values.slice(face * LABELS.length, (face + 1) * LABELS.length), this.name));
  }
}

function proper(probabilities: Float32Array, name: string): Float32Array {
  const sum = probabilities.reduce((total, share) => total + share, 0);
  // Written so that NaN, which compares as false, is refused.
  if (!(Math.abs(sum - 1) <= 1e-4) || !probabilities.every((share) => share >= 0)) {
    throw new InputError(`${name} answers with something other than probabilities; export it anew`);
  }
  return probabilities;
}

/** Returns a file's digest after checking it against the bytes: their sha256 with its own digits read as zeros. */
export async function verifyDigest(content: Uint8Array<ArrayBuffer>, name: string): Promise<string> {
  // Absent where the page came over http from another machine.
  if (!("subtle" in globalThis.crypto)) {
    throw new InputError("models are verified with the browser's own sha256, which needs https: open this page with it");
  }
  const places = marks(content);
  if (places.length !== 1) {
    throw new InputError(`${name} carries no digest: it is truncated, or not made by ferox; load the page again`);
  }
  const start = places[0]!;
  const blanked = content.slice();
  blanked.fill("0".charCodeAt(0), start, start + DIGITS);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", blanked));
  const actual = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (actual !== digits(content, start)) {
    throw new InputError(`${name} is damaged: its bytes do not give the digest that it carries; load the page again`);
  }
  return actual;
}

/** Returns where the 64 digits of digests stand. */
function marks(content: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = content.indexOf(DIGEST_MARK[0]!); at !== -1; at = content.indexOf(DIGEST_MARK[0]!, at + 1)) {
    const start = at + DIGEST_MARK.length;
    const isMark = DIGEST_MARK.every((byte, place) => content[at + place] === byte);
    if (isMark && /^[0-9a-f]{64}"$/.test(digits(content, start, DIGITS + 1))) found.push(start);
  }
  return found;
}

function digits(content: Uint8Array, start: number, length = DIGITS): string {
  return String.fromCharCode(...content.subarray(start, start + length));
}
