import assert from "node:assert/strict";
import { test } from "node:test";

import { crop, distinct, faceCrops, isReady, whole, type Finder } from "../src/faces.ts";
import { blank, grey, part } from "../src/image.ts";

const NOBODY: Finder = { margin: 0, find: () => [] };

function striped(width: number, height: number, channels = 1) {
  const image = blank(width, height, channels);
  for (let at = 0; at < image.pixels.length; at++) image.pixels[at] = Math.floor(at / channels) % width;
  return image;
}

test("a grey square of up to 64 pixels is a face already, and 48 pixels stay as they are", () => {
  const ready = striped(48, 48, 3);
  assert.ok(isReady(ready));
  assert.deepEqual(faceCrops(ready, NOBODY, "auto")[0]!.pixels, grey(ready).pixels);
  ready.pixels[0] = 9;
  assert.ok(!isReady(ready));
  assert.ok(!isReady(striped(65, 65, 3)) && !isReady(striped(48, 47, 3)) && !isReady(striped(15, 15, 3)));
});

test("beyond the borders their pixels are repeated", () => {
  const image = striped(60, 60);
  const { pixels } = crop(image, { x: -24, y: 0, width: 48, height: 48, score: null });
  assert.deepEqual([...pixels.subarray(0, 48)], [...Array<number>(24).fill(0), ...Array.from({ length: 24 }, (_, x) => x)]);
});

test("a whole picture is padded, not distorted", () => {
  const image = blank(96, 48, 1);
  image.pixels.fill(9);
  assert.deepEqual(new Set(whole(image).pixels), new Set([9]));
  assert.equal(faceCrops(image, NOBODY, "whole").length, 1);
});

test("of boxes that lie in each other the largest stays", () => {
  const box = (x: number, side: number) => ({ x, y: 0, width: side, height: side, score: null });
  assert.deepEqual(distinct([box(0, 10), box(0, 20), box(19, 10)]), [box(0, 20), box(19, 10)]);
});

test("a part of an image ends where the image does", () => {
  const { width, height, pixels } = part(striped(10, 10), 8, 7, 5, 5);
  assert.deepEqual([width, height, [...pixels]], [2, 3, [8, 9, 8, 9, 8, 9]]);
});
