/** Draws where faces are, with the numbers that the cards beside them carry. */

import type { FaceBox } from "./faces.ts";

const FRAME = "#ffffff";
const EDGE = "#4338ca";

/** A box and what stands at its corner. */
export interface Mark {
  readonly box: FaceBox;
  readonly text: string;
}

/** Draws marks on a canvas whose pixels are `factor` of the picture's; mirrored, boxes are, and texts are not. */
export function annotate(canvas: HTMLCanvasElement, marks: readonly Mark[], factor: number, isMirrored = false): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const unit = Math.max(1, Math.max(canvas.width, canvas.height) / 640);
  for (const { box, text } of marks) {
    const width = box.width * factor;
    const left = isMirrored ? canvas.width - box.x * factor - width : box.x * factor;
    const top = box.y * factor;
    // Light over dark: seen on any background.
    for (const [colour, thickness] of [[EDGE, 4 * unit], [FRAME, 1.4 * unit]] as const) {
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.strokeRect(left, top, width, box.height * factor);
    }
    tag(context, text, left, top, unit);
  }
}

function tag(context: CanvasRenderingContext2D, text: string, left: number, top: number, unit: number): void {
  const size = 17 * unit;
  const pad = 6 * unit;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 2 * pad;
  const height = size + pad;
  const x = Math.min(Math.max(0, left), Math.max(0, context.canvas.width - width));
  const y = Math.max(0, top - height);
  context.fillStyle = EDGE;
  context.fillRect(x, y, width, height);
  context.fillStyle = FRAME;
  context.textBaseline = "middle";
  context.fillText(text, x + pad, y + height / 2);
}
