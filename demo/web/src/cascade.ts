/**
 * OpenCV's `CascadeClassifier` with features of upright rectangles, to the last bit: the same boxes as in Python.
 *
 * opencv.js builds functions from text, which a strict Content-Security-Policy forbids, and weighs 2.5 MB compressed.
 * Source: OpenCV 4.14, modules/objdetect/src/cascadedetect.cpp.
 */

import { exactlyBetween } from "./resize.ts";
import { Kernel } from "./kernel.ts";
import type { Image } from "./image.ts";
import { roundEven } from "./rounding.ts";

const GROUP_EPSILON = 0.2;
const STRIPE = 32; // Pixels across, of which OpenCV makes its stripes.

/** A cascade as `ferox web` writes it: `haarcascade_*.xml` as numbers. */
export interface CascadeDocument {
  /** Sides of the window, in pixels. */
  readonly width: number;
  readonly height: number;
  /** Of each stage, its threshold and its trees; a tree is its nodes and its leaves. */
  readonly stages: readonly { readonly threshold: number; readonly trees: readonly Tree[] }[];
  /** Of each feature, up to three rectangles: x, y, width, height, weight. */
  readonly features: readonly (readonly (readonly [number, number, number, number, number])[])[];
}

/** Nodes are: left, right, feature, threshold. A child of 0 or less is a leaf, by its negative number. */
interface Tree {
  readonly nodes: readonly (readonly [number, number, number, number])[];
  readonly leaves: readonly number[];
}

/** A rectangle in pixels. */
export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What `detectMultiScale` is asked for. */
export interface Search {
  readonly scaleFactor: number;
  readonly neighbours: number;
  readonly smallest: number;
  readonly largest: number;
}

/** Finds upright objects in grey images. */
export class CascadeClassifier {
  private readonly kernel: Kernel;

  constructor(private readonly cascade: CascadeDocument) {
    this.kernel = new Kernel(cascade);
  }

  /** Returns the objects in a grey image whose sides are between two limits, as OpenCV's `detectMultiScale` does. */
  detectMultiScale(image: Image, search: Search): Rectangle[] {
    const scales = this.scales(image, search);
    if (scales.length === 0) return [];
    const first = reducedSide(image.width, scales[0]!) + 1;
    const stripes = Math.ceil(Math.max(first - this.cascade.width, 0) / STRIPE);
    this.kernel.take(image, first, reducedSide(image.height, scales[0]!) + 1);
    const candidates = scales.flatMap((scale) => this.candidates(image, scale, stripes));
    return clipped(grouped(candidates, search.neighbours), image);
  }

  private scales(image: Image, search: Search): number[] {
    const { width, height } = this.cascade;
    const all: number[] = [];
    for (let factor = 1; ; factor *= search.scaleFactor) {
      if (roundEven(width * factor) > image.width || roundEven(height * factor) > image.height) break;
      all.push(Math.fround(factor));
    }
    const size = (scale: number): [number, number] => [scaledSide(width, scale), scaledSide(height, scale)];
    const fitting = all.filter((scale) => {
      const [across, down] = size(scale);
      return Math.max(across, down) <= search.largest && Math.min(across, down) >= search.smallest;
    });
    if (fitting.length > 0 || all.length === 0) return fitting;
    // None is between the limits: OpenCV takes the nearest to the lower one.
    const far = (scale: number): number => size(scale).reduce((sum, side) => sum + (search.smallest - side) ** 2, 0);
    return [all.reduce((nearest, scale) => (far(scale) < far(nearest) ? scale : nearest))];
  }

  private candidates(image: Image, scale: number, stripes: number): Rectangle[] {
    const width = reducedSide(image.width, scale);
    const height = reducedSide(image.height, scale);
    const step = scale >= 2 ? 1 : 2;
    const across = Math.max(width + 1 - this.cascade.width, 0);
    const down = Math.max(height + 1 - this.cascade.height, 0);
    // OpenCV's stripes are cut so that the last row may be left out.
    const stripe = Math.max(Math.trunc((Math.trunc(down / step) + stripes - 1) / stripes), 1) * step;
    this.kernel.resize(exactlyBetween(image.width, width), exactlyBetween(image.height, height));
    const corners = this.kernel.candidates(across, Math.min(stripes * stripe, down), step);
    const size = { width: scaledSide(this.cascade.width, scale), height: scaledSide(this.cascade.height, scale) };
    return corners.map(([x, y]) => ({ x: scaledSide(x, scale), y: scaledSide(y, scale), ...size }));
  }
}

/** Scales are float32 in OpenCV, and so are the products and quotients with them. */
function scaledSide(side: number, scale: number): number {
  return roundEven(Math.fround(side * scale));
}

function reducedSide(side: number, scale: number): number {
  return roundEven(Math.fround(side / scale));
}

/** Returns the averages of rectangles that lie together, of which more than `neighbours` do (`groupRectangles`). */
export function grouped(candidates: readonly Rectangle[], neighbours: number): Rectangle[] {
  const groups = partitioned(candidates);
  const averages = groups.map(average);
  const isInside = (inner: number, outer: number): boolean => {
    const [few, many] = [groups[inner]!.length, groups[outer]!.length];
    const [small, large] = [averages[inner]!, averages[outer]!];
    const across = roundEven(large.width * GROUP_EPSILON);
    const down = roundEven(large.height * GROUP_EPSILON);
    return (
      inner !== outer &&
      many > neighbours &&
      small.x >= large.x - across &&
      small.y >= large.y - down &&
      small.x + small.width <= large.x + large.width + across &&
      small.y + small.height <= large.y + large.height + down &&
      (many > Math.max(3, few) || few < 3)
    );
  };
  const places = [...groups.keys()].filter((place) => groups[place]!.length > neighbours);
  return places.filter((place) => !places.some((other) => isInside(place, other))).map((place) => averages[place]!);
}

function average(group: readonly Rectangle[]): Rectangle {
  const share = Math.fround(1 / group.length);
  const mean = (side: keyof Rectangle): number =>
    roundEven(Math.fround(group.reduce((sum, rectangle) => sum + rectangle[side], 0) * share));
  return { x: mean("x"), y: mean("y"), width: mean("width"), height: mean("height") };
}

/** Returns groups in which each rectangle is similar to another one. */
function partitioned(rectangles: readonly Rectangle[]): Rectangle[][] {
  const groups: Rectangle[][] = [];
  const waiting = new Set(rectangles);
  for (const first of rectangles) {
    if (!waiting.delete(first)) continue;
    const group = [first];
    for (const member of group) {
      for (const other of waiting) {
        if (areSimilar(member, other)) {
          waiting.delete(other);
          group.push(other);
        }
      }
    }
    groups.push(group);
  }
  return groups;
}

function areSimilar(first: Rectangle, second: Rectangle): boolean {
  const sides = Math.min(first.width, second.width) + Math.min(first.height, second.height);
  const most = GROUP_EPSILON * sides * 0.5;
  return (
    Math.abs(first.x - second.x) <= most &&
    Math.abs(first.y - second.y) <= most &&
    Math.abs(first.x + first.width - second.x - second.width) <= most &&
    Math.abs(first.y + first.height - second.y - second.height) <= most
  );
}

function clipped(rectangles: readonly Rectangle[], image: Image): Rectangle[] {
  return rectangles.map(({ x, y, width, height }) => {
    const [left, top] = [Math.max(x, 0), Math.max(y, 0)];
    return {
      x: left,
      y: top,
      width: Math.min(x + width, image.width) - left,
      height: Math.min(y + height, image.height) - top,
    };
  });
}
