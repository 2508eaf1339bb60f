/** Elements of the page, made without markup from text: nothing that is shown is ever parsed. */

type Child = Node | string;

/** What an element is given: attributes by name; true sets an empty one, false and undefined set none. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Returns an element of HTML. */
export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  fill(element, attributes, children);
  return element;
}

/** Returns an element of SVG. */
export function svg(name: "svg" | "rect", attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  fill(element, attributes, children);
  return element;
}

/** Returns the element of the page with an id, which must be of a kind. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/** Returns one sentence as a box, which screen readers say. */
export function notice(text: string, kind: "note" | "empty" | "error" = "note"): HTMLElement {
  return el("div", { class: `fx-notice fx-${kind}`, role: kind === "error" ? "alert" : "status" }, text);
}

function fill(element: Element, attributes: Attributes, children: readonly Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
}
