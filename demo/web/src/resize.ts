/**
 * OpenCV's `resize`, to the last bit: what a model sees, and where faces are found, must not depend on where it runs.
 *
 * Source: OpenCV 4.14, modules/imgproc/src/resize.cpp, for 8 bits.
 */

import { blank, type Image } from "./image.ts";
import { roundEven } from "./rounding.ts";

const LINEAR_BITS = 11; // INTER_RESIZE_COEF_BITS.
const ALMOST_NOTHING = 1e-3; // A share of a pixel that INTER_AREA leaves out.

/** For each pixel of a new side: the first of the two it lies between, and the weights of both. */
interface Between {
  readonly first: Int32Array;
  readonly weights: Int32Array;
}

/** Returns an image shrunk by averaging (INTER_AREA); neither side may grow. */
export function resizeArea(image: Image, width: number, height: number): Image {
  const across = 1 / (width / image.width);
  const down = 1 / (height / image.height);
  if (across < 1 || down < 1) throw new RangeError(`${width} x ${height} is larger than the image`);
  const isWhole = Math.abs(across - roundEven(across)) < Number.EPSILON;
  if (isWhole && Math.abs(down - roundEven(down)) < Number.EPSILON) {
    return averaged(image, width, height, roundEven(across), roundEven(down));
  }
  return weighed(image, width, height);
}

/** Returns an image of another size, bilinearly (INTER_LINEAR). */
export function resizeLinear(image: Image, width: number, height: number): Image {
  if (image.width === 2 * width && image.height === 2 * height) return averaged(image, width, height, 2, 2);
  const x = between(image.width, width, true);
  const y = between(image.height, height, false);
  const result = blank(width, height, image.channels);
  const length = width * image.channels;
  const rows = rowsOf(image, x, length);
  for (let row = 0, to = 0; row < height; row++) {
    const above = rows(y.first[row]!);
    const below = rows(y.first[row]! + 1);
    const upper = y.weights[2 * row]!;
    const lower = y.weights[2 * row + 1]!;
    for (let at = 0; at < length; at++, to++) {
      const sum = ((upper * (above[at]! >> 4)) >> 16) + ((lower * (below[at]! >> 4)) >> 16);
      result.pixels[to] = (sum + 2) >> 2;
    }
  }
  return result;
}

/** Between which two pixels a new one lies, and its share of the second in 256ths: three numbers each. */
export function exactlyBetween(before: number, after: number): Int32Array {
  const scale = 1 / (after / before);
  const places = new Int32Array(3 * after);
  for (let to = 0; to < after; to++) {
    const place = scale * (to + 0.5) - 0.5;
    const whole = Math.floor(place);
    const isInside = whole >= 0 && whole < before - 1;
    const first = Math.min(Math.max(whole, 0), before - 1);
    const share = isInside ? roundEven((place - whole) * 256) : 0;
    places.set([first, Math.min(first + 1, before - 1), share], 3 * to);
  }
  return places;
}

/** Gives rows of an image already resized in x, in fixed point; of those asked for last two are kept. */
function rowsOf(image: Image, x: Between, length: number): (row: number) => Int32Array {
  const kept = [new Int32Array(length), new Int32Array(length)];
  const held = [-1, -1];
  return (wanted) => {
    const row = Math.min(Math.max(wanted, 0), image.height - 1);
    const place = row % 2;
    const line = kept[place]!;
    if (held[place] !== row) {
      held[place] = row;
      fillRow(image, x, row, line);
    }
    return line;
  };
}

function fillRow(image: Image, x: Between, row: number, line: Int32Array): void {
  const { pixels, channels, width } = image;
  const start = row * width * channels;
  const last = (width - 1) * channels;
  for (let at = 0, column = 0; at < line.length; column++) {
    const left = x.first[column]! * channels;
    const right = Math.min(left + channels, last);
    const near = x.weights[2 * column]!;
    const far = x.weights[2 * column + 1]!;
    for (let channel = 0; channel < channels; channel++, at++) {
      line[at] = near * pixels[start + left + channel]! + far * pixels[start + right + channel]!;
    }
  }
}

function between(before: number, after: number, isClamped: boolean): Between {
  const scale = 1 / (after / before);
  const first = new Int32Array(after);
  const weights = new Int32Array(2 * after);
  const one = 1 << LINEAR_BITS;
  for (let to = 0; to < after; to++) {
    const place = Math.fround((to + 0.5) * scale - 0.5);
    let whole = Math.floor(place);
    let rest = Math.fround(place - whole);
    // Beyond the first and last column a weight is nothing; rows are taken twice there instead.
    if (isClamped && (whole < 0 || whole >= before - 1)) {
      whole = whole < 0 ? 0 : before - 1;
      rest = 0;
    }
    first[to] = whole;
    weights[2 * to] = roundEven(Math.fround(Math.fround(1 - rest) * one));
    weights[2 * to + 1] = roundEven(Math.fround(rest * one));
  }
  return { first, weights };
}

/** Returns averages of whole blocks of `across` x `down` pixels. */
function averaged(image: Image, width: number, height: number, across: number, down: number): Image {
  const { pixels, channels } = image;
  const result = blank(width, height, channels);
  const stride = image.width * channels;
  const scale = Math.fround(1 / (across * down));
  const isQuarter = across === 2 && down === 2;
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const corner = row * down * stride + column * across * channels;
      for (let channel = 0; channel < channels; channel++, to++) {
        let sum = 0;
        for (let y = 0, from = corner + channel; y < down; y++, from += stride) {
          for (let x = 0; x < across; x++) sum += pixels[from + x * channels]!;
        }
        result.pixels[to] = isQuarter ? (sum + 2) >> 2 : roundEven(Math.fround(sum * scale));
      }
    }
  }
  return result;
}

/** What one pixel gives to another, in the order in which OpenCV adds. */
interface Share {
  readonly to: number;
  readonly from: number;
  readonly weight: number;
}

function shares(before: number, after: number): Share[] {
  const scale = 1 / (after / before);
  const all: Share[] = [];
  for (let to = 0; to < after; to++) {
    const begin = to * scale;
    const end = begin + scale;
    const cell = Math.min(scale, before - begin);
    const last = Math.min(Math.floor(end), before - 1);
    const first = Math.min(Math.ceil(begin), last);
    const add = (from: number, share: number): number => all.push({ to, from, weight: Math.fround(share / cell) });
    if (first - begin > ALMOST_NOTHING) add(first - 1, first - begin);
    for (let from = first; from < last; from++) add(from, 1);
    if (end - last > ALMOST_NOTHING) add(last, Math.min(end - last, 1, cell));
  }
  return all;
}

/** Returns averages weighed by how much of each pixel is covered. Float32 as in OpenCV: arrays round each sum. */
function weighed(image: Image, width: number, height: number): Image {
  const { pixels, channels } = image;
  const result = blank(width, height, channels);
  const length = width * channels;
  const stride = image.width * channels;
  const columns = shares(image.width, width);
  const line = new Float32Array(length);
  const sums = new Float32Array(length);
  let current = 0;
  const write = (row: number): void => {
    for (let at = 0; at < length; at++) result.pixels[row * length + at] = roundEven(sums[at]!);
    sums.fill(0);
  };
  for (const { to, from, weight } of shares(image.height, height)) {
    if (to !== current) write(current);
    current = to;
    line.fill(0);
    for (const column of columns) {
      for (let channel = 0; channel < channels; channel++) {
        const pixel = pixels[from * stride + column.from * channels + channel]!;
        line[column.to * channels + channel]! += Math.fround(pixel * column.weight);
      }
    }
    for (let at = 0; at < length; at++) sums[at]! += Math.fround(weight * line[at]!);
  }
  write(current);
  return result;
}
