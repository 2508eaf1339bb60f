/** What `ferox web` wrote beside the page: its models, its words, its colours. `demo/web/site.py` writes it. */

import { InputError } from "./errors.ts";
import type { CascadeDocument } from "./cascade.ts";

/** A language of the page. */
export type Language = "en" | "zh";

/** An artifact of the site: its file, its title, and the digest that it must have. */
export interface SiteModel {
  readonly name: string;
  readonly title: string;
  readonly file: string;
  readonly digest: string;
  /** Of the whole file. */
  readonly bytes: number;
}

/** The content of `site.json`. */
export interface Site {
  /** Whether pages around this one may ask for answers. */
  readonly embed: boolean;
  readonly models: readonly SiteModel[];
  readonly words: Readonly<Record<Language, Readonly<Record<string, string>>>>;
  readonly emotions: Readonly<Record<Language, Readonly<Record<string, string>>>>;
  readonly colours: Readonly<Record<string, string>>;
  readonly examples: readonly string[];
}

/** Returns a JSON file of the site. */
export async function fetchJson<T>(address: URL): Promise<T> {
  return (await (await fetched(address)).json()) as T;
}

/** Returns a file of the site whole. */
export async function fetchBytes(address: URL): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fetched(address)).arrayBuffer());
}

/** Returns the numbers of the Haar cascade. */
export function fetchCascade(base: string): Promise<CascadeDocument> {
  return fetchJson<CascadeDocument>(new URL("cascade.json", base));
}

async function fetched(address: URL): Promise<Response> {
  const name = address.pathname.split("/").at(-1) ?? address.pathname;
  try {
    const response = await fetch(address);
    if (response.ok) return response;
    throw new InputError(`${name} cannot be had from this site (${response.status}); ask whoever keeps it`);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${name} cannot be had: there is no network, and it was not kept; load it again with one`);
  }
}
