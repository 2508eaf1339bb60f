/** Lays out the memory of `kernel/cascade.ts`, the loops that are compiled to WebAssembly, and calls them. */

import code from "../generated/cascade.wasm";
import type { CascadeDocument } from "./cascade.ts";
import type { Image } from "./image.ts";

const PAGE = 1 << 16;
// A node, as `kernel/cascade.ts` has it: its length and where its parts are, in bytes.
const NODE = 72;
const WEIGHTS = 48;
const THRESHOLD = 60;
const LEFT = 64;
const RIGHT = 68;
const CORNERS = 12; // Numbers at a node's beginning.
const THRESHOLD_EPSILON = Math.fround(1e-5); // What OpenCV takes off every stage's threshold.

/** What the compiled module has; all places are bytes in its memory. */
interface Loops {
  integrate(pixels: number, width: number, height: number, sums: number, squares: number, stride: number): void;
  resize(
    pixels: number, before: number, columns: number, width: number, rows: number, height: number, line: number, to: number,
  ): void;
  candidates(
    sums: number, squares: number, stride: number, across: number, down: number, step: number, side: number,
    stages: number, stageCount: number, trees: number, nodes: number, leaves: number, found: number,
  ): number;
}

/** Where everything lies, in bytes. */
interface Layout {
  readonly image: number;
  readonly columns: number;
  readonly rows: number;
  readonly line: number;
  readonly resized: number;
  readonly sums: number;
  readonly squares: number;
  readonly found: number;
}

/** A cascade in the memory of compiled loops, and an image beside it. */
export class Kernel {
  private readonly memory = new WebAssembly.Memory({ initial: 4 });
  private readonly loops: Loops;
  private readonly places: { stages: number; trees: number; nodes: number; leaves: number; end: number };
  private layout: Layout | undefined;
  private stride = 0;
  private image: Image | undefined;
  private width = 0;
  private height = 0;

  constructor(private readonly cascade: CascadeDocument) {
    if (cascade.width !== cascade.height) throw new RangeError("the cascade's window is no square");
    const module = new WebAssembly.Module(code as BufferSource);
    this.loops = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports as unknown as Loops;
    this.places = this.store();
  }

  /** Keeps a copy of an image, and room for copies of at most `stride` - 1 times `height` - 1 pixels. */
  take(image: Image, stride: number, height: number): void {
    this.layout = this.laidOut(image, stride, height);
    this.image = image;
    new Uint8Array(this.memory.buffer, this.layout.image, image.pixels.length).set(image.pixels);
    if (stride !== this.stride) this.storeCorners(stride);
    this.stride = stride;
  }

  /** Resizes the image to what `columns` and `rows` say, three numbers for each new one, and integrates it. */
  resize(columns: Int32Array, rows: Int32Array): void {
    const layout = this.layout!;
    this.width = columns.length / 3;
    this.height = rows.length / 3;
    new Int32Array(this.memory.buffer, layout.columns, columns.length).set(columns);
    new Int32Array(this.memory.buffer, layout.rows, rows.length).set(rows);
    const { width } = this.image!;
    this.loops.resize(
      layout.image, width, layout.columns, this.width, layout.rows, this.height, layout.line, layout.resized,
    );
    this.loops.integrate(layout.resized, this.width, this.height, layout.sums, layout.squares, this.stride);
  }

  /** Returns the corners of the windows that pass all stages, of those `step` apart in the resized image. */
  candidates(across: number, down: number, step: number): [number, number][] {
    const { sums, squares, found } = this.layout!;
    const { stages, trees, nodes, leaves } = this.places;
    const count = this.loops.candidates(
      sums, squares, this.stride, across, down, step, this.cascade.width,
      stages, this.cascade.stages.length, trees, nodes, leaves, found,
    );
    const numbers = new Int32Array(this.memory.buffer, found, 2 * count);
    return Array.from({ length: count }, (_, place) => [numbers[2 * place]!, numbers[2 * place + 1]!]);
  }

  private laidOut(image: Image, stride: number, height: number): Layout {
    let end = this.places.end;
    const place = (bytes: number): number => {
      const start = end;
      end += Math.ceil(bytes / 16) * 16;
      return start;
    };
    const layout = {
      image: place(image.pixels.length),
      columns: place(12 * stride),
      rows: place(12 * height),
      line: place(8 * stride),
      resized: place(stride * height),
      sums: place(4 * stride * height),
      squares: place(4 * stride * height),
      found: place(8 * stride * height),
    };
    this.reserve(end);
    return layout;
  }

  private reserve(bytes: number): void {
    const missing = Math.ceil((bytes - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.memory.grow(missing);
  }

  private store(): { stages: number; trees: number; nodes: number; leaves: number; end: number } {
    const all = this.cascade.stages.flatMap((stage) => stage.trees);
    const nodeCount = all.reduce((sum, tree) => sum + tree.nodes.length, 0);
    const stages = 1024; // AssemblyScript's own first bytes are left alone.
    const trees = stages + 8 * this.cascade.stages.length;
    const nodes = trees + 4 * all.length;
    const leaves = nodes + NODE * nodeCount;
    const end = leaves + 4 * (nodeCount + all.length);
    this.reserve(end);
    const view = new DataView(this.memory.buffer);
    this.cascade.stages.forEach((stage, place) => {
      view.setFloat32(stages + 8 * place, Math.fround(stage.threshold) - THRESHOLD_EPSILON, true);
      view.setInt32(stages + 8 * place + 4, stage.trees.length, true);
    });
    all.forEach((tree, place) => view.setInt32(trees + 4 * place, tree.nodes.length, true));
    all.flatMap((tree) => tree.leaves).forEach((leaf, place) => view.setFloat32(leaves + 4 * place, leaf, true));
    all.flatMap((tree) => tree.nodes).forEach(([left, right, feature, threshold], place) => {
      const node = nodes + NODE * place;
      this.cascade.features[feature]!.forEach(([, , , , weight], index) => {
        view.setFloat32(node + WEIGHTS + 4 * index, weight, true);
      });
      view.setFloat32(node + THRESHOLD, threshold, true);
      view.setInt32(node + LEFT, left, true);
      view.setInt32(node + RIGHT, right, true);
    });
    return { stages, trees, nodes, leaves, end: Math.ceil(end / 16) * 16 };
  }

  /** Writes where the rectangles' corners lie from a window's own, in rows of `stride` numbers. */
  private storeCorners(stride: number): void {
    const nodes = this.cascade.stages.flatMap((stage) => stage.trees).flatMap((tree) => tree.nodes);
    nodes.forEach(([, , feature], place) => {
      const corners = new Int32Array(this.memory.buffer, this.places.nodes + NODE * place, CORNERS);
      this.cascade.features[feature]!.forEach(([x, y, width, height], index) => {
        const corner = 4 * (y * stride + x);
        const down = 4 * height * stride;
        corners.set([corner, corner + 4 * width, corner + down, corner + down + 4 * width], 4 * index);
      });
    });
  }
}
