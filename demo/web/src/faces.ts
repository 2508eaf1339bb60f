/**
 * Faces in pictures: found, cut out and brought to the 48 x 48 grey pixels that every model takes.
 *
 * The counterpart of `inference/photos/faces.py`, whose constants these are and which says why.
 */

import { CascadeClassifier, type CascadeDocument } from "./cascade.ts";
import { blank, grey, part, type Image } from "./image.ts";
import { resizeArea, resizeLinear } from "./resize.ts";
import { roundEven } from "./rounding.ts";

export const SIDE = 48;
/** Pixels: larger pictures are searched in a copy of this size first. */
export const DETECTION_SIDE = 640;
const FRAME_SIDE = 320;
const SMALLEST_FACE = 24;
const LOOKED_FOR = 48;
const LEAST_SIDE = 38;
const MOST_CONFIRMED = 128;
const GREY_LEVELS = 8;
const READY_SIDES = [16, 64] as const;
const SAME_FACE = 0.5;

/** Where a face is, in pixels of the picture; it may reach beyond the borders. Haar gives no score. */
export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly score: number | null;
}

/** A face and its pixels, 48 x 48 bytes, grey. */
export interface FaceCrop {
  readonly box: FaceBox;
  readonly pixels: Uint8Array;
}

/** How faces are come by: "auto" looks for them, "whole" takes the whole picture as one. */
export type Policy = "auto" | "whole";

/** Finds faces in a picture of any size, the largest first. `margin` fits its kind of box to FER2013's crops. */
export interface Finder {
  readonly margin: number;
  find(image: Image, side: number): FaceBox[];
}

/** How a finder looks for faces in large pictures, in pixels of the copies that it searches. */
interface FineSearch {
  readonly face: number;
  readonly surroundings: number;
  /** Faces of the smaller copy are looked at again in surroundings of these sizes, and seen in every one. */
  readonly coarse: readonly number[];
}

type Detect = (copy: Image, smallest: number, largest: number) => FaceBox[];

/** OpenCV's `frontalface_alt2` cascade; upright faces only. */
export class HaarFinder implements Finder {
  readonly margin = 0.02;
  private readonly fine: FineSearch = { face: 22, surroundings: 160, coarse: [160, 180] };
  private readonly classifier: CascadeClassifier;

  constructor(cascade: CascadeDocument) {
    this.classifier = new CascadeClassifier(cascade);
  }

  find(image: Image, side: number): FaceBox[] {
    const detect: Detect = (copy, smallest, largest) =>
      this.classifier
        .detectMultiScale(copy, { scaleFactor: 1.1, neighbours: 3, smallest, largest })
        .map((rectangle) => ({ ...rectangle, score: null }));
    return search(grey(image), side, this.fine, detect, detect);
  }
}

/** Returns the side to search a camera's frame in, so that faces of 48 pixels are found in 640 x 480, often a second. */
export function frameSide({ width, height }: Image): number {
  // Half of a larger frame, in which nothing is searched twice.
  return Math.max(FRAME_SIDE, Math.max(width, height) / 2);
}

/** Returns the faces of a picture, the largest first; a small grey square is a face already cut out. */
export function faceCrops(image: Image, finder: Finder, policy: Policy, side = DETECTION_SIDE): FaceCrop[] {
  const plain = grey(image);
  if (policy === "whole" || isReady(image)) {
    const box = { x: 0, y: 0, width: image.width, height: image.height, score: null };
    return [{ box, pixels: whole(plain).pixels }];
  }
  return finder.find(image, side).map((box) => ({ box, pixels: crop(plain, box, finder.margin).pixels }));
}

/** Whether a picture is a small square that is grey to within a few levels, as FER2013's own faces are. */
export function isReady({ pixels, width, height, channels }: Image): boolean {
  if (width !== height || width < READY_SIDES[0] || width > READY_SIDES[1]) return false;
  for (let at = 0; channels > 1 && at < pixels.length; at += channels) {
    const colours = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!];
    if (Math.max(...colours) - Math.min(...colours) > GREY_LEVELS) return false;
  }
  return true;
}

/** Cuts out the square around a face, with `margin` of its side added on each, as 48 x 48. */
export function crop(plain: Image, box: FaceBox, margin = 0): Image {
  const side = Math.max(1, roundEven(Math.max(box.width, box.height) * (1 + 2 * margin)));
  const left = box.x + Math.floor((box.width - side) / 2);
  const top = box.y + Math.floor((box.height - side) / 2);
  return scaled(window(plain, left, top, side), SIDE, SIDE);
}

/** Returns all of a grey picture as 48 x 48: the longer side becomes 48, borders are repeated beyond. */
export function whole(plain: Image): Image {
  const factor = SIDE / Math.max(plain.height, plain.width);
  const width = Math.max(1, roundEven(plain.width * factor));
  const small = scaled(plain, width, Math.max(1, roundEven(plain.height * factor)));
  return window(small, Math.floor((small.width - SIDE) / 2), Math.floor((small.height - SIDE) / 2), SIDE);
}

function scaled(plain: Image, width: number, height: number): Image {
  if (plain.width === width && plain.height === height) return plain;
  const shrinks = Math.max(plain.width, plain.height) > Math.max(width, height);
  return shrinks ? resizeArea(plain, width, height) : resizeLinear(plain, width, height);
}

function window(plain: Image, left: number, top: number, side: number): Image {
  const copy = blank(side, side, 1);
  for (let row = 0, to = 0; row < side; row++) {
    const start = Math.min(Math.max(top + row, 0), plain.height - 1) * plain.width;
    for (let column = 0; column < side; column++) {
      copy.pixels[to++] = plain.pixels[start + Math.min(Math.max(left + column, 0), plain.width - 1)]!;
    }
  }
  return copy;
}

/** Returns the faces of a picture of any size, the largest first, those of `LOOKED_FOR` pixels included. */
function search(image: Image, side: number, fine: FineSearch, detect: Detect, suspect: Detect): FaceBox[] {
  const least = Math.max(1, Math.max(image.width, image.height) / side);
  const isLarge = SMALLEST_FACE * least > LOOKED_FOR;
  const finer = LOOKED_FOR / fine.face;
  // The smaller copy is made of the finer one, which of pictures a bit large has fewer pixels than it would have.
  const factor = isLarge ? Math.max(least, finer) : least;
  const copy = isLarge ? reduced(image, finer) : image;
  const coarse = reduced(copy, isLarge ? factor / finer : factor);
  const largest = Math.max(coarse.width, coarse.height);
  let boxes = detect(coarse, SMALLEST_FACE, largest).map((box) => scaledBox(box, factor));
  if (isLarge) {
    boxes = distinct(boxes).filter((box) => fine.coarse.every((size) => confirmed(image, box, size, detect)));
    const candidates = suspect(copy, fine.face, roundEven((1.25 * SMALLEST_FACE * factor) / finer));
    const suspected = distinct(candidates.map((box) => scaledBox(box, finer)));
    const fresh = suspected.filter((box) => !overlaps(box, boxes));
    fresh.sort((first, second) => (second.score ?? 0) - (first.score ?? 0));
    for (const box of fresh.slice(0, MOST_CONFIRMED)) {
      const closer = confirmed(image, box, fine.surroundings, detect);
      if (closer !== undefined && Math.max(closer.width, closer.height) >= LEAST_SIDE) boxes.push(closer);
    }
  }
  return distinct(boxes);
}

/** Looks for a face once more in its surroundings, which become `surroundings` pixels wide. */
function confirmed(image: Image, box: FaceBox, surroundings: number, detect: Detect): FaceBox | undefined {
  const side = Math.max(box.width, box.height);
  const left = Math.max(0, box.x - side);
  const top = Math.max(0, box.y - side);
  const near = part(image, left, top, box.x + 2 * side - left, box.y + 2 * side - top);
  const factor = Math.max(near.width, near.height) / surroundings;
  const width = Math.max(1, roundEven(near.width / factor));
  const height = Math.max(1, roundEven(near.height / factor));
  const around = factor > 1 ? resizeArea(near, width, height) : resizeLinear(near, width, height);
  const seen = detect(around, SMALLEST_FACE, surroundings).map((closer) => scaledBox(closer, factor, left, top));
  return distinct(seen).find((closer) => overlaps(closer, [box]));
}

function overlaps(box: FaceBox, others: readonly FaceBox[]): boolean {
  return others.some((other) => shared(box, other) > SAME_FACE || shared(other, box) > SAME_FACE);
}

/** Returns the boxes by falling area, without those of which over half lies in a larger one. */
export function distinct(boxes: readonly FaceBox[]): FaceBox[] {
  const kept: FaceBox[] = [];
  const area = (box: FaceBox): number => box.width * box.height;
  for (const box of [...boxes].sort((a, b) => area(b) - area(a) || a.y - b.y || a.x - b.x)) {
    if (kept.every((larger) => shared(box, larger) <= SAME_FACE)) kept.push(box);
  }
  return kept;
}

function shared(smaller: FaceBox, larger: FaceBox): number {
  const right = Math.min(smaller.x + smaller.width, larger.x + larger.width);
  const bottom = Math.min(smaller.y + smaller.height, larger.y + larger.height);
  const width = Math.max(right - Math.max(smaller.x, larger.x), 0);
  const height = Math.max(bottom - Math.max(smaller.y, larger.y), 0);
  return (width * height) / (smaller.width * smaller.height);
}

/** Returns a copy that is `factor` times smaller, averaged; the picture itself where that is not above 1. */
function reduced(image: Image, factor: number): Image {
  if (factor <= 1) return image;
  const width = Math.max(1, roundEven(image.width / factor));
  const height = Math.max(1, roundEven(image.height / factor));
  if (factor <= 2) return resizeArea(image, width, height);
  let copy = image;
  while (Math.min(copy.width / width, copy.height / height) >= 2) {
    copy = resizeArea(copy, Math.floor(copy.width / 2), Math.floor(copy.height / 2));
  }
  return resizeLinear(copy, width, height);
}

function scaledBox(box: FaceBox, factor: number, left = 0, top = 0): FaceBox {
  return {
    x: roundEven(left + box.x * factor),
    y: roundEven(top + box.y * factor),
    width: Math.max(1, roundEven(box.width * factor)),
    height: Math.max(1, roundEven(box.height * factor)),
    score: box.score,
  };
}
