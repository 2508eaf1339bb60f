/** The page within another page: tells it how high it is, and what the models said; never a picture. */

/** Waits for the outer page to hand over a port, and returns what sends it an answer. */
export function openFrame(page: HTMLElement): (answer: object[]) => void {
  let port: MessagePort | undefined;
  addEventListener("message", (event) => {
    if (event.source !== parent || event.ports.length !== 1) return;
    port = event.ports[0]!;
    new ResizeObserver(() => port?.postMessage({ height: document.documentElement.scrollHeight })).observe(page);
  });
  return (answer) => port?.postMessage({ answer });
}
