/** The Webcam tab: the camera's frames read one after another, with steady labels and the last half minute. */

import { annotate } from "./annotate.ts";
import { answer } from "./cards.ts";
import type { Client } from "./client.ts";
import { sentence } from "./errors.ts";
import { byId, el, notice, svg } from "./html.ts";
import { chosen } from "./models.ts";
import type { Reading } from "./reading.ts";
import type { Site } from "./site.ts";
import { EMPTY, follow, KEPT, present, type Scene } from "./tracking.ts";
import type { Words } from "./words.ts";

const CONSTRAINTS = { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" } };
const REASONS: Readonly<Record<string, string>> = {
  NotAllowedError: "camera_denied",
  SecurityError: "camera_denied",
  NotFoundError: "camera_missing",
  OverconstrainedError: "camera_missing",
};
const STRIP_WIDTH = 600;
const STRIP_HEIGHT = 46;
const LONGEST_BAR = 1; // Seconds: a camera that paused leaves a gap, and not a long bar.
const SHOWN_EVERY = 200; // Milliseconds between two drawings of cards and strip: what changes faster cannot be read.
const READ_EVERY = 50; // Milliseconds between two frames at least: more would only warm the device.

/** The tab and its camera. */
export class Webcam {
  private readonly video = byId("webcam-video", HTMLVideoElement);
  private readonly overlay = byId("webcam-overlay", HTMLCanvasElement);
  private readonly button = byId("webcam-start", HTMLButtonElement);
  private readonly view = byId("webcam-answer", HTMLElement);
  private stream: MediaStream | undefined;
  private scene: Scene = EMPTY;
  private shown = 0;

  constructor(
    private readonly site: Site,
    private readonly words: Words,
    private readonly client: Client,
    private readonly choice: HTMLSelectElement,
  ) {
    this.button.addEventListener("click", () => {
      if (this.stream === undefined) void this.start();
      else this.stop();
    });
    this.show();
  }

  /** Says in the reader's language what there is while no camera runs. */
  show(): void {
    this.button.textContent = this.words.say(this.stream === undefined ? "web_camera_start" : "web_camera_stop");
    if (this.stream === undefined) this.view.replaceChildren(notice(this.words.say("web_camera_empty"), "empty"));
  }

  /** Lets go of the camera. */
  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
    this.scene = EMPTY;
    this.overlay.getContext("2d")?.clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.show();
  }

  private async start(): Promise<void> {
    if (!("mediaDevices" in navigator)) {
      this.refuse(this.words.say("web_camera_insecure"));
      return;
    }
    this.button.disabled = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
      this.video.srcObject = this.stream;
      await this.video.play();
      this.show();
      this.view.replaceChildren();
      void this.run(this.stream);
    } catch (error) {
      this.stop();
      this.refuse(this.words.say((error instanceof Error && REASONS[error.name]) || "camera_failed"));
    } finally {
      this.button.disabled = false;
    }
  }

  private refuse(text: string): void {
    this.view.replaceChildren(notice(text, "error"));
  }

  private async run(stream: MediaStream): Promise<void> {
    while (this.stream === stream) {
      const began = performance.now();
      try {
        const bitmap = await createImageBitmap(this.video);
        // The first of several, which would share the time of a frame.
        const models = chosen(this.choice, this.site).slice(0, 1);
        const reading = await this.client.ask({ kind: "frame", bitmap, models }, [bitmap]);
        if (this.stream === stream) this.take(reading);
      } catch (error) {
        if (this.stream !== stream) return;
        this.stop();
        this.refuse(this.words.say("not_taken", { reason: sentence(error) }));
      }
      await pause(READ_EVERY - (performance.now() - began));
    }
  }

  private take(reading: Reading): void {
    const now = performance.now() / 1000;
    this.scene = follow(this.scene, reading.boxes, reading.answers[0]!, now);
    const tracks = present(this.scene, now);
    this.overlay.width = reading.width;
    this.overlay.height = reading.height;
    const marks = tracks.map(({ box, number }) => ({ box, text: String(number) }));
    annotate(this.overlay, marks, 1, true);
    if (performance.now() - this.shown < SHOWN_EVERY) return;
    this.shown = performance.now();
    const articles = tracks.map((track) => {
      const section = el("section", {}, ...answer(track.probabilities, this.site, this.words, String(track.number)));
      return el("article", { class: "fx-card" }, el("div", { class: "fx-answers" }, section));
    });
    const nobody = articles.length === 0 ? [notice(this.words.say("camera_nobody"))] : [];
    const latency = this.words.say("web_latency", {
      milliseconds: reading.milliseconds.toFixed(0),
      rate: rate(this.scene).toFixed(1),
    });
    this.view.replaceChildren(
      el("p", { class: "fx-latency" }, latency),
      this.strip(now),
      el("div", { class: "fx-cards" }, ...articles, ...nobody),
    );
  }

  /** Returns the last 30 seconds of the first face: a bar a frame in which it was found. */
  private strip(now: number): HTMLElement {
    const name = this.words.say("camera_strip");
    const labels = [...new Set(this.scene.moments.flatMap(({ label }) => label ?? []))];
    const keys = labels.map((label) => {
      const key = el("b", {}, this.words.emotion(label));
      key.style.setProperty("--tone", this.site.colours[label]!);
      return key;
    });
    const size = { viewBox: `0 0 ${STRIP_WIDTH} ${STRIP_HEIGHT}`, preserveAspectRatio: "none" };
    const picture = svg("svg", { role: "img", "aria-label": name, ...size }, ...this.bars(now));
    return el("figure", { class: "fx-strip" }, el("figcaption", {}, el("span", {}, name), ...keys), picture);
  }

  private bars(now: number): SVGElement[] {
    return this.scene.moments.flatMap(({ time, label, share }, place, all) => {
      if (label === null) return [];
      const next = all[place + 1]?.time ?? now;
      const height = STRIP_HEIGHT * share;
      return svg("rect", {
        x: (STRIP_WIDTH * (1 - (now - time) / KEPT)).toFixed(1),
        y: (STRIP_HEIGHT - height).toFixed(1),
        width: ((STRIP_WIDTH * Math.min(next - time, LONGEST_BAR)) / KEPT + 0.5).toFixed(1),
        height: height.toFixed(1),
        fill: this.site.colours[label]!,
      });
    });
  }
}

/** Waits so long at least, and until the page is drawn: one that is not seen reads no frames. */
async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  await new Promise(requestAnimationFrame);
}

function rate(scene: Scene): number {
  const recent = scene.moments.slice(-11);
  const seconds = recent.at(-1)!.time - recent[0]!.time;
  return seconds > 0 ? (recent.length - 1) / seconds : 0;
}
