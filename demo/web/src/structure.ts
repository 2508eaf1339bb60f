/** What a picture file says of itself, read without decoding anything: its kind, and how large it is. */

/** A kind of file, and its sides in pixels where its header gives them. */
export interface Structure {
  readonly kind: string;
  readonly width?: number;
  readonly height?: number;
}

/** Returns what a file is by its content, never by its name; undefined where it is none of the known kinds. */
export function structure(content: Uint8Array): Structure | undefined {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const begins = (text: string, at = 0): boolean =>
    text === String.fromCharCode(...content.subarray(at, at + text.length));
  if (begins("\xff\xd8\xff")) return { kind: "JPEG", ...jpegSize(view) };
  if (begins("\x89PNG\r\n\x1a\n") && content.length >= 24) {
    return { kind: "PNG", width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (begins("GIF8") && content.length >= 10) {
    return { kind: "GIF", width: view.getUint16(6, true), height: view.getUint16(8, true) };
  }
  if (begins("RIFF") && begins("WEBP", 8)) return { kind: "WebP" };
  if (begins("BM") && content.length >= 26) {
    return { kind: "BMP", width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
  }
  if (begins("ftyp", 4)) return { kind: /avi[fs]/.test(brand(content)) ? "AVIF" : "HEIC" };
  return undefined;
}

function brand(content: Uint8Array): string {
  return String.fromCharCode(...content.subarray(8, 12));
}

/** Returns the size in a JPEG's frame header, the first segment of a kind from 0xC0 to 0xCF that is one. */
function jpegSize(view: DataView): { width: number; height: number } | undefined {
  let at = 2;
  while (at + 9 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    // A byte that fills, and markers without a length.
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}
