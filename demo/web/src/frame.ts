/** The page within another page: tells it how high it is, and what the models said; never a picture. */

/** Asks the outer page for a port, and returns what sends an answer through it. */
export function openFrame(page: HTMLElement): (answer: object[]) => void {
  let port: MessagePort | undefined;
  addEventListener("message", (event) => {
    if (event.source !== parent || event.ports.length !== 1) return;
    port = event.ports[0]!;
    new ResizeObserver(() => port?.postMessage({ height: document.documentElement.scrollHeight })).observe(page);
  });
  parent.postMessage("ferox", "*");
  return (answer) => port?.postMessage({ answer });
}
