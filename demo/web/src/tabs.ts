/** Tabs that keys and screen readers can use, as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ has them. */

/** The buttons of a tab list, each with the panel that it controls. */
export class Tabs {
  private readonly buttons: HTMLButtonElement[];

  constructor(
    list: HTMLElement,
    private readonly opened: (name: string) => void,
  ) {
    this.buttons = [...list.querySelectorAll("button")];
    for (const button of this.buttons) {
      button.addEventListener("click", () => {
        this.open(button.dataset["tab"]!);
      });
    }
    list.addEventListener("keydown", (event) => {
      this.move(event);
    });
  }

  /** Shows one panel and hides the others. */
  open(name: string): void {
    for (const button of this.buttons) {
      const isOpen = button.dataset["tab"] === name;
      button.setAttribute("aria-selected", String(isOpen));
      button.tabIndex = isOpen ? 0 : -1;
      const panel = document.getElementById(button.getAttribute("aria-controls")!);
      if (panel !== null) panel.hidden = !isOpen;
    }
    this.opened(name);
  }

  private move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const place = this.buttons.findIndex((button) => button === document.activeElement);
    if (step === undefined || place === -1) return;
    const next = this.buttons.at((place + step) % this.buttons.length)!;
    next.focus();
    this.open(next.dataset["tab"]!);
    event.preventDefault();
  }
}
