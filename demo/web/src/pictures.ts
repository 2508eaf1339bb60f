/**
 * Pictures as upright pixels over white, decoded by the browser; what comes from outside is limited and refused here.
 *
 * The limits are those of `inference/photos/pictures.py`; the formats are those that browsers decode.
 */

import { InputError } from "./errors.ts";
import type { Image } from "./image.ts";
import { structure } from "./structure.ts";

const MAX_BYTES = 10_000_000;
const MAX_PIXELS = 25_000_000;
const MIN_SIDE = 16;
const MAX_ASPECT = 32;
const KNOWN = "JPEG, PNG, WebP, GIF or BMP";
const DECODED = ["JPEG", "PNG", "WebP", "GIF", "BMP"];

/** Reads a picture file: upright by its EXIF, colours untouched by profiles, what is transparent laid over white. */
export async function readPicture(file: Blob, name: string): Promise<Image> {
  if (file.size > MAX_BYTES) {
    const megabytes = (file.size / 1e6).toFixed(1);
    throw new InputError(`${name} has ${megabytes} MB: at most ${MAX_BYTES / 1e6} are taken; save it smaller`);
  }
  const found = structure(new Uint8Array(await file.arrayBuffer()));
  if (found?.kind === "HEIC") {
    throw new InputError(`${name} is a HEIC file, which browsers do not read alike: save or share it as JPEG`);
  }
  if (found === undefined || !DECODED.includes(found.kind)) {
    throw new InputError(`${name} is not a picture that can be read: expected the content of a ${KNOWN} file; give one`);
  }
  if (found.width !== undefined && found.height !== undefined) checkSize(found.width, found.height, name);
  const bitmap = await decoded(file, name, found.kind);
  try {
    checkSize(bitmap.width, bitmap.height, name);
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}

async function decoded(file: Blob, name: string, kind: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new InputError(
      `${name} is a damaged or truncated ${kind} file: expected a whole picture; save or copy it anew`,
    );
  }
}

/** Returns the pixels of a decoded picture or frame, RGBA over white. */
export function pixelsOf(bitmap: ImageBitmap): Image {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new InputError("this browser has no memory for that picture: close other tabs");
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return { pixels: new Uint8Array(data.buffer), width, height, channels: 4 };
}

function checkSize(width: number, height: number, name: string): void {
  const size = `${name} is ${width} x ${height} pixels`;
  if (width * height > MAX_PIXELS) {
    throw new InputError(`${size}: at most ${MAX_PIXELS / 1e6} megapixels are taken; save it smaller`);
  }
  if (Math.min(width, height) < MIN_SIDE) {
    throw new InputError(`${size}: at least ${MIN_SIDE} a side are needed; give a larger picture`);
  }
  if (Math.max(width, height) > MAX_ASPECT * Math.min(width, height)) {
    throw new InputError(`${size}: at most ${MAX_ASPECT} times as long as wide is taken; cut it to the faces`);
  }
}
