import assert from "node:assert/strict";
import { test } from "node:test";

import { CascadeClassifier, grouped, type CascadeDocument } from "../src/cascade.ts";
import { blank } from "../src/image.ts";

const box = (x: number, y: number, side: number) => ({ x, y, width: side, height: side });

// One feature: the right half of the window less the left half, which is above nothing where the right one is brighter.
const BRIGHT_RIGHT: CascadeDocument = {
  width: 20,
  height: 20,
  stages: [{ threshold: 0.5, trees: [{ nodes: [[0, -1, 0, 0.2]], leaves: [0, 1] }] }],
  features: [[[0, 0, 20, 20, -1], [10, 0, 10, 20, 2]]],
};

test("a group needs more rectangles than asked for, and becomes their average", () => {
  const four = [box(10, 10, 40), box(12, 10, 40), box(12, 12, 40), box(10, 12, 40)];
  assert.deepEqual(grouped(four, 3), [box(11, 11, 40)]);
  assert.deepEqual(grouped(four.slice(1), 3), []);
});

test("of a small group within a larger one, the larger one stays", () => {
  const large = Array.from({ length: 9 }, () => box(0, 0, 100));
  const small = Array.from({ length: 4 }, () => box(30, 30, 30));
  assert.deepEqual(grouped([...small, ...large], 3), [box(0, 0, 100)]);
});

test("a window is found where its feature is, and in no flat picture", () => {
  const image = blank(60, 60, 1);
  const search = { scaleFactor: 1.1, neighbours: 3, smallest: 20, largest: 60 };
  const classifier = new CascadeClassifier(BRIGHT_RIGHT);
  assert.deepEqual(classifier.detectMultiScale(image, search), []);
  for (let at = 0; at < image.pixels.length; at++) image.pixels[at] = at % 60 < 30 ? 40 : 200;
  const found = classifier.detectMultiScale(image, search);
  assert.ok(found.length > 0);
  for (const { x, width } of found) assert.ok(x < 30 && x + width > 30);
});

test("what is smaller than the window holds nothing", () => {
  const search = { scaleFactor: 1.1, neighbours: 3, smallest: 20, largest: 60 };
  assert.deepEqual(new CascadeClassifier(BRIGHT_RIGHT).detectMultiScale(blank(19, 40, 1), search), []);
});
