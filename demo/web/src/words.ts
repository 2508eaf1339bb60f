/** The page's own sentences, in English and in Simplified Chinese; reasons of errors and figures stay English. */

import type { Language, Site } from "./site.ts";

/** Speaks a site's sentences in the reader's language. */
export class Words {
  constructor(
    private readonly site: Site,
    public language: Language,
  ) {}

  /** Returns a sentence with its values filled in. */
  say(key: string, values: Readonly<Record<string, string | number>> = {}): string {
    const sentence = this.site.words[this.language][key];
    if (sentence === undefined) throw new Error(`there is no sentence ${key}`);
    return sentence.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));
  }

  /** Returns a label in the reader's language. */
  emotion(label: string): string {
    return this.site.emotions[this.language][label] ?? label;
  }

  /** Puts the sentences in their places: text where `data-word` is, names for screen readers where `data-name` is. */
  apply(root: ParentNode): void {
    for (const element of root.querySelectorAll<HTMLElement>("[data-word]")) {
      element.textContent = this.say(element.dataset["word"]!);
    }
    for (const element of root.querySelectorAll<HTMLElement>("[data-name]")) {
      element.setAttribute("aria-label", this.say(element.dataset["name"]!));
    }
    document.documentElement.lang = this.language === "zh" ? "zh-CN" : "en";
  }
}

/** Returns the language of a reader: the first of the two among those asked for, English without any. */
export function languageOf(accepted: readonly string[]): Language {
  for (const tag of accepted) {
    const language = tag.toLowerCase().split("-")[0];
    if (language === "zh" || language === "en") return language;
  }
  return "en";
}
