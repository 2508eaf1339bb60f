/** The Photo tab: every face of a picture, numbered in it, with what each model makes of it. */

import { annotate } from "./annotate.ts";
import { cards } from "./cards.ts";
import type { Client } from "./client.ts";
import { sentence } from "./errors.ts";
import type { Policy } from "./faces.ts";
import { byId, el, notice } from "./html.ts";
import { chosen } from "./models.ts";
import { records, type Reading } from "./reading.ts";
import { fetchBytes, type Site } from "./site.ts";
import type { Words } from "./words.ts";

const SHOWN_SIDE = 1280; // Pixels: more would only cost memory.

/** A picture as it was given. */
interface Given {
  readonly content: Blob;
  readonly name: string;
}

/** What was read of a picture. */
interface Answered {
  readonly given: Given;
  readonly reading: Reading;
}

/** The tab and its picture. */
export class Photo {
  private readonly answer = byId("photo-answer", HTMLElement);
  private readonly canvas = byId("photo-seen", HTMLCanvasElement);
  private readonly whole = byId("photo-whole", HTMLButtonElement);
  private given: Given | undefined;
  private policy: Policy = "auto";
  private answered: Answered | undefined;
  private turn = 0;

  constructor(
    private readonly site: Site,
    private readonly words: Words,
    private readonly client: Client,
    private readonly choice: HTMLSelectElement,
    private readonly tell: (answer: object[]) => void,
  ) {
    const input = byId("photo-file", HTMLInputElement);
    input.addEventListener("change", () => {
      this.take(input.files?.[0]);
      // The same file may be given again.
      input.value = "";
    });
    this.listenForDrops(byId("photo-drop", HTMLElement));
    document.addEventListener("paste", (event) => {
      this.take(event.clipboardData?.files[0]);
    });
    this.whole.addEventListener("click", () => void this.read("whole"));
    byId("photo-examples", HTMLElement).append(...site.examples.map((file, place) => this.example(file, place)));
    this.show();
  }

  /** Reads the picture that is there with the models that are chosen now. */
  async readAgain(): Promise<void> {
    if (this.given !== undefined) await this.read(this.policy);
  }

  /** Shows the last answer in the reader's language. */
  show(): void {
    for (const [place, button] of [...byId("photo-examples", HTMLElement).children].entries()) {
      button.setAttribute("aria-label", this.words.say("web_example", { number: place + 1 }));
    }
    if (this.answered === undefined) {
      this.answer.replaceChildren(notice(this.words.say("photo_empty"), "empty"));
      return;
    }
    this.answer.replaceChildren(...cards(this.answered.reading, this.answered.given.name, this.site, this.words));
  }

  private listenForDrops(area: HTMLElement): void {
    const mark = (isOver: boolean) => (event: DragEvent) => {
      event.preventDefault();
      area.classList.toggle("is-over", isOver);
    };
    area.addEventListener("dragover", mark(true));
    area.addEventListener("dragleave", mark(false));
    area.addEventListener("drop", (event) => {
      mark(false)(event);
      this.take(event.dataTransfer?.files[0]);
    });
  }

  private example(file: string, place: number): HTMLElement {
    const address = new URL(file, document.baseURI);
    const button = el("button", { type: "button" }, el("img", { src: address.href, alt: "", loading: "lazy" }));
    button.dataset["example"] = String(place);
    button.addEventListener("click", () => {
      fetchBytes(address).then(
        (content) => {
          this.take(new File([content], file.split("/").at(-1)!));
        },
        (error: unknown) => {
          this.refuse(error);
        },
      );
    });
    return button;
  }

  private take(file: File | undefined): void {
    if (file === undefined) return;
    this.given = { content: file, name: file.name };
    void this.read("auto");
  }

  /** Reads the picture that was given last. What was asked for earlier and comes later is not shown. */
  private async read(policy: Policy): Promise<void> {
    const given = this.given!;
    const turn = ++this.turn;
    this.policy = policy;
    this.answer.setAttribute("aria-busy", "true");
    try {
      const models = chosen(this.choice, this.site);
      const reading = await this.client.ask({ kind: "read", picture: given.content, name: given.name, policy, models });
      const bitmap = await createImageBitmap(given.content);
      if (turn !== this.turn) {
        bitmap.close();
        return;
      }
      this.draw(bitmap, reading);
      this.answered = { given, reading };
      this.show();
      this.whole.hidden = reading.boxes.length > 0;
      this.tell(records(reading, given.name));
    } catch (error) {
      if (turn !== this.turn) return;
      this.refuse(error);
    }
    this.answer.removeAttribute("aria-busy");
  }

  private refuse(error: unknown): void {
    this.answered = undefined;
    this.canvas.hidden = true;
    this.whole.hidden = true;
    this.answer.replaceChildren(notice(this.words.say("not_taken", { reason: sentence(error) }), "error"));
  }

  /** Draws a picture with its boxes, and closes it. */
  private draw(bitmap: ImageBitmap, reading: Reading): void {
    const factor = Math.min(1, SHOWN_SIDE / Math.max(reading.width, reading.height));
    this.canvas.width = Math.max(1, Math.round(reading.width * factor));
    this.canvas.height = Math.max(1, Math.round(reading.height * factor));
    const context = this.canvas.getContext("2d");
    if (context !== null) {
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    }
    bitmap.close();
    if (this.policy === "auto") {
      annotate(this.canvas, reading.boxes.map((box, place) => ({ box, text: String(place + 1) })), factor);
    }
    this.canvas.hidden = false;
  }
}
