/** The page: its words, its tabs, its models. */

import { Client } from "./client.ts";
import { sentence } from "./errors.ts";
import { openFrame } from "./frame.ts";
import { byId, notice } from "./html.ts";
import { chosen, fillChoice, showManifests } from "./models.ts";
import { Photo } from "./photo.ts";
import { fetchJson, type Language, type Site } from "./site.ts";
import { Tabs } from "./tabs.ts";
import { Webcam } from "./webcam.ts";
import { languageOf, Words } from "./words.ts";

// A function that returns a vector of WebAssembly's SIMD (https://github.com/GoogleChromeLabs/wasm-feature-detect).
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

const asked = new URLSearchParams(location.search);

async function open(): Promise<void> {
  const site = await fetchJson<Site>(new URL("site.json", document.baseURI));
  const language = asked.get("lang");
  const words = new Words(site, language === "zh" || language === "en" ? language : languageOf(navigator.languages));
  document.documentElement.classList.toggle("is-framed", asked.has("embed"));
  words.apply(document);
  if (!hasSimd()) {
    say(words.say("web_no_simd"));
    return;
  }
  build(site, words);
  await keepOffline();
}

function build(site: Site, words: Words): void {
  const client = new Client(document.baseURI);
  void client.ask({ kind: "start", base: document.baseURI }).then(({ threads }) => {
    document.documentElement.dataset["threads"] = String(threads);
  });
  const choice = byId("model", HTMLSelectElement);
  fillChoice(choice, site, words);
  const wanted = asked.get("model");
  if (site.models.some((model) => model.name === wanted)) choice.value = wanted!;
  const tell = site.embed && asked.has("embed") ? openFrame(byId("page", HTMLElement)) : () => undefined;
  const photo = new Photo(site, words, client, choice, tell);
  const webcam = new Webcam(site, words, client, choice);
  const tabs = new Tabs(byId("tabs", HTMLElement), (name) => {
    if (name !== "webcam") webcam.stop();
  });
  const load = async (): Promise<void> => {
    try {
      await showManifests(chosen(choice, site), client, words);
      byId("status", HTMLElement).replaceChildren();
      document.documentElement.dataset["ready"] = "";
    } catch (error) {
      say(words.say("not_taken", { reason: sentence(error) }));
    }
  };
  choice.addEventListener("change", () => {
    void load();
    void photo.readAgain();
  });
  byId("language", HTMLElement).addEventListener("click", () => {
    words.language = otherLanguage(words.language);
    words.apply(document);
    fillChoice(choice, site, words);
    photo.show();
    webcam.show();
    void load();
  });
  byId("page", HTMLElement).hidden = false;
  tabs.open("photo");
  void load();
}

function otherLanguage(language: Language): Language {
  return language === "en" ? "zh" : "en";
}

function hasSimd(): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(SIMD));
}

function say(text: string): void {
  byId("status", HTMLElement).replaceChildren(notice(text, "error"));
}

/** Has the page kept for visits without a network. Browsers allow that to pages over https, or of this machine. */
async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(new URL("service-worker.js", document.baseURI));
}

open().catch((error: unknown) => {
  say(sentence(error));
});
