/** Rounding as Python and OpenCV have it, on which boxes and pixels depend. */

/** Returns the nearest integer, of two as near the even one: Python's `round`, OpenCV's `cvRound`. */
export function roundEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
