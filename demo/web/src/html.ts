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
  return filled(document.createElement(name), attributes, children);
}

/** Returns an element of SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** Returns the element of the page with an id. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Returns one sentence as a box, which screen readers say. */
export function notice(text: string, kind: "note" | "empty" | "error" = "note"): HTMLElement {
  return el("div", { class: `fx-notice fx-${kind}`, role: kind === "error" ? "alert" : "status" }, text);
}

function filled<T extends Element>(element: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}
