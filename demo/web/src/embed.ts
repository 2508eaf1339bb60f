/**
 * One element for other people's pages: `<ferox-faces>`, which shows the page in a frame of its own.
 *
 * A frame keeps both apart: the outer page's styles and policy do not reach what reads pictures, and pictures do not reach
 * the outer page. It is told answers alone, by the event `ferox-answer`, whose detail is what `predict --json` prints.
 */

const script = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : "";

/** What the frame sends. */
interface Told {
  readonly height?: number;
  readonly answer?: object[];
}

class FeroxFaces extends HTMLElement {
  connectedCallback(): void {
    if (this.shadowRoot !== null) return;
    const address = new URL("index.html", script);
    address.searchParams.set("embed", "");
    for (const name of ["lang", "model"]) {
      const value = this.getAttribute(name);
      if (value !== null) address.searchParams.set(name, value);
    }
    const frame = document.createElement("iframe");
    frame.src = address.href;
    frame.title = "ferox";
    frame.allow = "camera";
    frame.style.cssText = "display:block;width:100%;height:760px;border:0;color-scheme:light dark";
    // It says when it listens, which is later than its `load`.
    addEventListener("message", ({ source, origin, data }) => {
      if (source === frame.contentWindow && origin === address.origin && data === "ferox") this.listen(frame, origin);
    });
    this.style.display ||= "block";
    this.attachShadow({ mode: "open" }).append(frame);
  }

  private listen(frame: HTMLIFrameElement, origin: string): void {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("message", ({ data }: MessageEvent<Told>) => {
      if (data.height !== undefined) frame.style.height = `${data.height}px`;
      if (data.answer !== undefined) this.dispatchEvent(new CustomEvent("ferox-answer", { detail: data.answer, bubbles: true }));
    });
    port1.start();
    frame.contentWindow?.postMessage("ferox", origin, [port2]);
  }
}

customElements.define("ferox-faces", FeroxFaces);
