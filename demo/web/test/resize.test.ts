import assert from "node:assert/strict";
import { test } from "node:test";

import type { Image } from "../src/image.ts";
import { exactlyBetween, resizeArea, resizeLinear } from "../src/resize.ts";
import { roundEven } from "../src/rounding.ts";

function image(width: number, pixels: number[], channels = 1): Image {
  return { pixels: Uint8Array.from(pixels), width, height: pixels.length / width / channels, channels };
}

test("halves are rounded to the even number, as Python rounds them", () => {
  assert.deepEqual([-1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map(roundEven).map((value) => value + 0), [-2, 0, 0, 2, 2, 2, 3]);
});

test("averages of 2 x 2 pixels are rounded up at a half, channel by channel", () => {
  assert.deepEqual([...resizeArea(image(2, [0, 1, 0, 1]), 1, 1).pixels], [1]);
  assert.deepEqual([...resizeArea(image(2, [0, 9, 2, 9, 4, 9, 6, 9], 2), 1, 1).pixels], [3, 9]);
});

test("pixels that are covered in part are weighed", () => {
  assert.deepEqual([...resizeArea(image(3, [0, 90, 255, 0, 90, 255, 0, 90, 255]), 2, 2).pixels], [30, 200, 30, 200]);
});

test("averaging does not enlarge", () => {
  assert.throws(() => resizeArea(image(2, [1, 2, 3, 4]), 3, 3), RangeError);
});

test("enlarging keeps the corners and what is even", () => {
  const larger = resizeLinear(image(2, [0, 200, 0, 200]), 4, 4);
  assert.deepEqual([...larger.pixels.subarray(0, 4)], [0, 50, 150, 200]);
  assert.deepEqual(new Set(resizeLinear(image(2, [7, 7, 7, 7]), 5, 5).pixels), new Set([7]));
});

test("exact places stay inside and their shares are 256ths", () => {
  const places = exactlyBetween(10, 7);
  for (let to = 0; to < 7; to++) {
    const [first, second, share] = places.subarray(3 * to, 3 * to + 3);
    assert.ok(first! >= 0 && second! <= 9 && second! - first! <= 1);
    assert.ok(share! >= 0 && share! < 256);
  }
});
