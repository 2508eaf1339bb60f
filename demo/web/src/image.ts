/** Pixels as every module passes them: rows of interleaved channels, 8 bits each. */

/** A picture: `pixels` has `height` rows of `width` pixels of `channels` bytes: 1 is grey, 3 RGB, 4 RGBA. */
export interface Image {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Returns a black image. */
export function blank(width: number, height: number, channels: number): Image {
  return { pixels: new Uint8Array(width * height * channels), width, height, channels };
}

/** Returns a copy of the part of an image from (`left`, `top`) on, no larger than what there is. */
export function part(image: Image, left: number, top: number, width: number, height: number): Image {
  const right = Math.min(image.width, left + width);
  const copy = blank(right - left, Math.min(image.height, top + height) - top, image.channels);
  const length = copy.width * image.channels;
  for (let row = 0; row < copy.height; row++) {
    const start = ((top + row) * image.width + left) * image.channels;
    copy.pixels.set(image.pixels.subarray(start, start + length), row * length);
  }
  return copy;
}

/** Returns the grey of RGB or RGBA by ITU-R BT.601 in OpenCV's fixed point (`cvtColor`); grey stays what it is. */
export function grey(image: Image): Image {
  if (image.channels === 1) return image;
  const { pixels, channels } = image;
  const copy = blank(image.width, image.height, 1);
  for (let to = 0, from = 0; to < copy.pixels.length; to++, from += channels) {
    const red = pixels[from]!;
    const green = pixels[from + 1]!;
    const blue = pixels[from + 2]!;
    copy.pixels[to] = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15;
  }
  return copy;
}
