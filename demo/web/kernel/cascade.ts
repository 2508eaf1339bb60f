/**
 * The inner loops of the cascade in AssemblyScript: in JavaScript they take three times as long as OpenCV.
 *
 * Everything lies in one memory, which `src/cascade.ts` lays out; all places are in bytes. A node is NODE bytes:
 * 12 corners of its feature's three rectangles (i32, in bytes from the window's own corner), their 3 weights (f32), its
 * threshold (f32), its left and right child (i32). Weights are small whole numbers and sums stay below 2^24, so that
 * float32 holds every feature exactly until it is multiplied by the window's contrast.
 */

const NODE: usize = 72;
const WEIGHTS: usize = 48;
const THRESHOLD: usize = 60;
const CHILDREN: usize = 64;

/** Fills integral images of `stride` numbers a row with the sums of grey pixels and of their squares, modulo 2^32. */
export function integrate(pixels: usize, width: i32, height: i32, sums: usize, squares: usize, stride: i32): void {
  const row = (<usize>stride) << 2;
  memory.fill(sums, 0, (<usize>(width + 1)) << 2);
  memory.fill(squares, 0, (<usize>(width + 1)) << 2);
  for (let y = 0; y < height; y++) {
    let at = (<usize>(y + 1)) * row;
    let sum: i32 = 0;
    let square: i32 = 0;
    store<i32>(sums + at, 0);
    store<i32>(squares + at, 0);
    for (let x = 0; x < width; x++) {
      const value = <i32>load<u8>(pixels++);
      sum += value;
      square += value * value;
      at += 4;
      store<i32>(sums + at, load<i32>(sums + at - row) + sum);
      store<i32>(squares + at, load<i32>(squares + at - row) + square);
    }
  }
}

/** Resizes in x and y what stays between two pixels, in OpenCV's fixed point of 8 bits; `line` is of 2 `width` u32. */
export function resize(
  pixels: usize, before: i32, columns: usize, width: i32, rows: usize, height: i32, line: usize, to: usize,
): void {
  let held0 = -1, held1 = -1;
  const second = line + ((<usize>width) << 2);
  for (let row = 0; row < height; row++) {
    const place = rows + <usize>row * 12;
    const above = load<i32>(place), below = load<i32>(place, 4);
    const share = load<i32>(place, 8);
    // Even rows are kept in one line, odd ones in the other; only one of two that are used is of each kind.
    if ((above & 1 ? held1 : held0) != above) {
      fill(pixels + <usize>(above * before), columns, width, above & 1 ? second : line);
      if (above & 1) held1 = above; else held0 = above;
    }
    if ((below & 1 ? held1 : held0) != below) {
      fill(pixels + <usize>(below * before), columns, width, below & 1 ? second : line);
      if (below & 1) held1 = below; else held0 = below;
    }
    const upper = above & 1 ? second : line, lower = below & 1 ? second : line;
    for (let at: usize = 0; at < (<usize>width) << 2; at += 4) {
      const sum = (256 - share) * load<i32>(upper + at) + share * load<i32>(lower + at);
      store<u8>(to++, <u8>((<u32>sum + 32768) >> 16));
    }
  }
}

function fill(pixels: usize, columns: usize, width: i32, line: usize): void {
  for (let x = 0; x < width; x++, columns += 12, line += 4) {
    const share = load<i32>(columns, 8);
    const left = <i32>load<u8>(pixels + <usize>load<i32>(columns));
    const right = <i32>load<u8>(pixels + <usize>load<i32>(columns, 4));
    store<i32>(line, (256 - share) * left + share * right);
  }
}

/**
 * Writes x and y (i32) of all windows that pass every stage to `found`, and returns how many there are.
 *
 * A stage is its threshold (f32) and the number of its trees (i32), a tree the number of its nodes (i32).
 */
export function candidates(
  sums: usize, squares: usize, stride: i32, across: i32, down: i32, step: i32, side: i32,
  stages: usize, stageCount: i32, trees: usize, nodes: usize, leaves: usize, found: usize,
): i32 {
  let count = 0;
  for (let y = 0; y < down; y += step) {
    for (let x = 0; x < across; x += step) {
      const at = (<usize>(y * stride + x)) << 2;
      const contrast = deviation(sums + at, squares + at, stride, side);
      if (contrast == 0) continue;
      const passed = stagesPassed(sums + at, contrast, stages, stageCount, trees, nodes, leaves);
      if (passed == stageCount) {
        store<i32>(found, x);
        store<i32>(found, y, 4);
        found += 8;
        count++;
      }
      // What fails at once is not looked at beside.
      if (passed == 0) x += step;
    }
  }
  return count;
}

/** Returns what a window's features are multiplied by for its contrast; 0 where it is too flat to be looked at. */
function deviation(sums: usize, squares: usize, stride: i32, side: i32): f32 {
  // All but the window's outermost pixels.
  const inner = <usize>(side - 2) << 2;
  const a = (<usize>(stride + 1)) << 2;
  const b = a + inner;
  const c = a + (<usize>((side - 2) * stride) << 2);
  const d = c + inner;
  const sum = <f64>(load<i32>(sums + a) - load<i32>(sums + b) - load<i32>(sums + c) + load<i32>(sums + d));
  const square = <f64>(load<u32>(squares + a) - load<u32>(squares + b) - load<u32>(squares + c) + load<u32>(squares + d));
  const area = <f64>((side - 2) * (side - 2));
  const variance = area * square - sum * sum;
  if (!(variance > 0)) return 0;
  const contrast = <f32>(1.0 / Math.sqrt(variance));
  return area * <f64>contrast < 0.1 ? contrast : 0;
}

function stagesPassed(
  window: usize, contrast: f32, stages: usize, stageCount: i32, trees: usize, nodes: usize, leaves: usize,
): i32 {
  for (let stage = 0; stage < stageCount; stage++, stages += 8) {
    let sum: f64 = 0;
    for (const end = trees + ((<usize>load<i32>(stages, 4)) << 2); trees < end; trees += 4) {
      let child = 0;
      do {
        const node = nodes + <usize>child * NODE;
        const value = feature(window, node) * contrast;
        child = load<i32>(node + (value < load<f32>(node, THRESHOLD) ? 0 : 4), CHILDREN);
      } while (child > 0);
      sum += <f64>load<f32>(leaves - ((<isize>child) << 2));
      const count = <usize>load<i32>(trees);
      nodes += count * NODE;
      leaves += (count + 1) << 2;
    }
    if (sum < <f64>load<f32>(stages)) return stage;
  }
  return stageCount;
}

function feature(window: usize, node: usize): f32 {
  let value = load<f32>(node, WEIGHTS) * <f32>rectangle(window, node)
    + load<f32>(node, WEIGHTS + 4) * <f32>rectangle(window, node + 16);
  const third = load<f32>(node, WEIGHTS + 8);
  if (third != 0) value += third * <f32>rectangle(window, node + 32);
  return value;
}

// @ts-ignore: decorator
@inline
function rectangle(window: usize, corners: usize): i32 {
  return load<i32>(window + <usize>load<i32>(corners))
    - load<i32>(window + <usize>load<i32>(corners, 4))
    - load<i32>(window + <usize>load<i32>(corners, 8))
    + load<i32>(window + <usize>load<i32>(corners, 12));
}
