/**
 * An ONNX file's metadata, read off its bytes: onnxruntime-web does not give them.
 *
 * ONNX is a protobuf message (https://protobuf.dev/programming-guides/encoding/); `ModelProto.metadata_props` is its field
 * 14, of messages with a key (1) and a value (2). All else is stepped over.
 */

import { InputError } from "./errors.ts";

const METADATA = 14;
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const LONGEST_VARINT = 10;

/** Returns the metadata of a serialised model, by key. */
export function metadata(model: Uint8Array, name: string): Map<string, string> {
  const text = new TextDecoder();
  const found = new Map<string, string>();
  for (const [number, entry] of fields(model, name)) {
    if (number !== METADATA) continue;
    const parts = new Map(fields(entry, name));
    found.set(text.decode(parts.get(1)), text.decode(parts.get(2)));
  }
  return found;
}

/** Yields a message's fields that have a length, by number. */
function* fields(message: Uint8Array, name: string): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let place = 0; place < LONGEST_VARINT && at < message.length; place++) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw broken(name);
  };
  while (at < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === VARINT) varint();
    else if (kind === FIXED64) at += 8;
    else if (kind === FIXED32) at += 4;
    else if (kind === BYTES) {
      const length = varint();
      if (length > message.length - at) throw broken(name);
      yield [Math.floor(tag / 8), message.subarray(at, at + length)];
      at += length;
    } else throw broken(name);
  }
}

function broken(name: string): InputError {
  return new InputError(`${name} is no ONNX model: its bytes end or break off within it; load the page again`);
}
