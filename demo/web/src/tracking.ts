/** Faces followed from frame to frame, so that a label is steady while the face is. */

import type { FaceBox } from "./faces.ts";
import { ranking, type Probabilities } from "./reading.ts";

const SMOOTHING = 0.6; // Seconds in which an old frame's weight falls to 1/e.
const FORGOTTEN = 1.5; // Seconds without being found.
export const KEPT = 30; // Seconds of the strip.

/** One face over time: where it was last, its smoothed probabilities, its number, and when it was last found. */
export interface Track {
  readonly number: number;
  readonly box: FaceBox;
  readonly probabilities: Probabilities;
  readonly seen: number;
}

/** What the first face showed at a time, in seconds; null where nobody was found. */
export interface Moment {
  readonly time: number;
  readonly label: string | null;
  readonly share: number;
}

/** All that is remembered of one camera. */
export interface Scene {
  readonly tracks: readonly Track[];
  readonly moments: readonly Moment[];
}

export const EMPTY: Scene = { tracks: [], moments: [] };

/** Returns the faces found in the frame of time `now`. */
export function present(scene: Scene, now: number): Track[] {
  return scene.tracks.filter((track) => track.seen === now);
}

/** Returns the scene after a frame at `now` seconds, in which faces were found at `boxes` with these probabilities. */
export function follow(
  scene: Scene,
  boxes: readonly FaceBox[],
  answers: readonly Probabilities[],
  now: number,
): Scene {
  const remembered = scene.tracks.filter((track) => now - track.seen < FORGOTTEN);
  const followed: Track[] = [];
  boxes.forEach((box, face) => {
    const probabilities = answers[face]!;
    const known = nearest(remembered, box);
    if (known === undefined) {
      followed.push({ number: free([...remembered, ...followed]), box, probabilities, seen: now });
    } else {
      remembered.splice(remembered.indexOf(known), 1);
      followed.push({ ...known, box, probabilities: mixed(known, probabilities, now), seen: now });
    }
  });
  const tracks = [...followed, ...remembered].sort((first, second) => first.number - second.number);
  const first = tracks.find((track) => track.seen === now);
  const [label, share] = first === undefined ? [null, 0] : ranking(first.probabilities)[0]!;
  const recent = scene.moments.filter((moment) => now - moment.time < KEPT);
  return { tracks, moments: [...recent, { time: now, label, share }] };
}

function nearest(tracks: readonly Track[], box: FaceBox): Track | undefined {
  const reach = Math.max(box.width, box.height);
  const far = (track: Track): number => distance(track.box, box);
  const known = tracks.reduce<Track | undefined>(
    (best, track) => (best === undefined || far(track) < far(best) ? track : best),
    undefined,
  );
  return known !== undefined && far(known) <= reach ? known : undefined;
}

/** An exponential average over time, so that a slow camera is smoothed as much as a fast one. */
function mixed(known: Track, probabilities: Probabilities, now: number): Probabilities {
  const weight = 1 - Math.exp(-(now - known.seen) / SMOOTHING);
  return probabilities.map((share, place) => known.probabilities[place]! + weight * (share - known.probabilities[place]!));
}

function distance(first: FaceBox, second: FaceBox): number {
  const across = first.x + first.width / 2 - (second.x + second.width / 2);
  const down = first.y + first.height / 2 - (second.y + second.height / 2);
  return Math.hypot(across, down);
}

function free(tracks: readonly Track[]): number {
  const taken = new Set(tracks.map((track) => track.number));
  let number = 1;
  while (taken.has(number)) number++;
  return number;
}
