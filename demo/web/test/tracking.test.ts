import assert from "node:assert/strict";
import { test } from "node:test";

import { LABELS } from "../src/manifest.ts";
import { ranking } from "../src/reading.ts";
import { EMPTY, follow, present, type Scene } from "../src/tracking.ts";

const box = (x: number) => ({ x, y: 50, width: 100, height: 100, score: null });
const sure = (label: string) => Float32Array.from(LABELS, (each) => Number(each === label));
const seen = (scene: Scene, x: number, label: string, now: number) => follow(scene, [box(x)], [sure(label)], now);

test("one odd frame does not change a steady label", () => {
  let scene = EMPTY;
  for (let step = 0; step < 10; step++) scene = seen(scene, 10, "happy", 0.2 * step);
  scene = seen(scene, 12, "angry", 2);
  assert.equal(ranking(scene.tracks[0]!.probabilities)[0]![0], "happy");
  for (let step = 0; step < 10; step++) scene = seen(scene, 12, "angry", 2.2 + 0.2 * step);
  assert.equal(ranking(scene.tracks[0]!.probabilities)[0]![0], "angry");
});

test("smoothing is by time and not by frames", () => {
  const slow = seen(seen(EMPTY, 0, "happy", 0), 0, "sad", 1);
  let fast = seen(EMPTY, 0, "happy", 0);
  for (let step = 1; step <= 10; step++) fast = seen(fast, 0, "sad", 0.1 * step);
  const far = slow.tracks[0]!.probabilities.map((share, place) => share - fast.tracks[0]!.probabilities[place]!);
  assert.ok(far.every((difference) => Math.abs(difference) < 1e-5));
});

test("faces keep their numbers when their order changes and one leaves", () => {
  let scene = follow(EMPTY, [box(0), box(400)], [sure("happy"), sure("sad")], 0);
  scene = follow(scene, [box(405), box(5)], [sure("sad"), sure("happy")], 0.2);
  assert.deepEqual(present(scene, 0.2).map((track) => [track.number, track.box.x]), [[1, 5], [2, 405]]);
  scene = seen(scene, 410, "sad", 0.4);
  assert.deepEqual(present(scene, 0.4).map((track) => track.number), [2]);
});

test("the strip holds half a minute and its gaps", () => {
  let scene = EMPTY;
  for (let second = 0; second < 50; second++) scene = second === 45 ? follow(scene, [], [], 45) : seen(scene, 0, "happy", second);
  assert.deepEqual(scene.moments.map((moment) => moment.time), Array.from({ length: 30 }, (_, place) => 20 + place));
  assert.deepEqual(scene.moments[25], { time: 45, label: null, share: 0 });
});
