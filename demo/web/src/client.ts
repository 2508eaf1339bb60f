/** Asks the worker, and hands its answers back as promises. */

import { InputError } from "./errors.ts";
import type { Answers, Request } from "./reading.ts";

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker that reads pictures. It obeys the page's Content-Security-Policy, since it begins as one of its blobs. */
export class Client {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;

  constructor(base: string) {
    // A worker from an address would have that address's policy: none, where the server sends no headers.
    const code = `import ${JSON.stringify(new URL("worker.js", base).href)};`;
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.worker = new Worker(address, { type: "module" });
    this.worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
      this.settle(data);
    });
    this.worker.addEventListener("error", (event) => {
      this.fail(event.message || "its script could not be loaded");
    });
  }

  /** Resolves with the worker's answer; rejects with an `InputError` that says why there is none. */
  ask<K extends Request["kind"]>(request: Request & { kind: K }, given: Transferable[] = []): Promise<Answers[K]> {
    const id = this.count++;
    return new Promise<Answers[K]>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.worker.postMessage({ id, request }, given);
    });
  }

  private settle({ id, value, error }: Reply): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new InputError(error));
  }

  private fail(reason: string): void {
    for (const { reject } of this.waiting.values()) reject(new InputError(`the page's worker stopped: ${reason}`));
    this.waiting.clear();
  }
}
