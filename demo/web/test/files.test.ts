import assert from "node:assert/strict";
import { test } from "node:test";

import { verifyDigest } from "../src/engine.ts";
import { InputError, sentence } from "../src/errors.ts";
import { parseManifest } from "../src/manifest.ts";
import { structure } from "../src/structure.ts";
import { metadata } from "../src/wire.ts";
import { languageOf } from "../src/words.ts";

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
// Field 14 of a model, with a key (1) and a value (2) of less than 128 bytes each.
const property = (key: string, value: string) => {
  const entry = `\x0a${String.fromCharCode(key.length)}${key}\x12${String.fromCharCode(value.length)}${value}`;
  return `\x72${String.fromCharCode(entry.length)}${entry}`;
};

async function sealed(): Promise<Uint8Array<ArrayBuffer>> {
  const blank = bytes(`before "digest": "${"0".repeat(64)}" after`);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", blank));
  const digits = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return bytes(`before "digest": "${digits}" after`);
}

test("a digest is that of the file with its own digits as zeros; any other byte breaks it", async () => {
  const whole = await sealed();
  assert.match(await verifyDigest(whole, "a.onnx"), /^[0-9a-f]{64}$/);
  for (const place of [0, 40, whole.length - 1]) {
    const damaged = whole.slice();
    damaged[place]! ^= 1;
    await assert.rejects(verifyDigest(damaged, "a.onnx"), InputError);
  }
  await assert.rejects(verifyDigest(bytes("nothing"), "a.onnx"), /carries no digest/);
  await assert.rejects(verifyDigest(bytes(`"digest": "${"1".repeat(64)}" "digest": "${"2".repeat(64)}"`), "a"), /no digest/);
});

test("metadata is read off between other fields, and what breaks off is said", () => {
  const model = `\x08\x09${property("one", "1")}\x12\x03abc${property("two", "2")}`;
  assert.deepEqual([...metadata(bytes(model), "a")], [["one", "1"], ["two", "2"]]);
  for (const broken of ["\x72\x7f", "\x72", "\x0b", "\xff"]) {
    assert.throws(() => metadata(bytes(broken), "a.onnx"), /a\.onnx is no ONNX model/);
  }
});

test("a manifest of another contract, or none, is refused", () => {
  assert.throws(() => parseManifest(bytes(""), "a.onnx"), /has no ferox\.manifest/);
  const other = property("ferox.manifest", '{"contract": 9, "labels": []}');
  assert.throws(() => parseManifest(bytes(other), "a.onnx"), /contract version 9/);
});

test("the manifest of an adopted model is read, of which no training data are known", () => {
  const labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
  const text = JSON.stringify({ contract: 2, labels, data: null, selection: null, adoption: { file: "a", trained_on: null } });
  const length = (count: number) => String.fromCharCode((count & 0x7f) | 0x80, count >> 7);
  const key = "ferox.manifest";
  const entry = `\x0a${String.fromCharCode(key.length)}${key}\x12${length(text.length)}${text}`;
  const manifest = parseManifest(bytes(`\x72${length(entry.length)}${entry}`), "a.onnx");
  assert.equal(manifest.adoption?.file, "a");
  assert.equal(manifest.data, null);
});

test("a picture's kind is that of its content, its size that of its header", () => {
  const jpeg = "\xff\xd8\xff\xe0\x00\x04ab\xff\xc4\x00\x02\xff\xc2\x00\x11\x08\x01\x02\x03\x04\x03";
  assert.deepEqual(structure(bytes(jpeg)), { kind: "JPEG", width: 0x304, height: 0x102 });
  assert.deepEqual(structure(bytes("\xff\xd8\xff")), { kind: "JPEG" });
  assert.equal(structure(bytes("\0\0\0\x18ftypheic"))?.kind, "HEIC");
  assert.equal(structure(bytes("\0\0\0\x18ftypavif"))?.kind, "AVIF");
  assert.equal(structure(bytes("<svg>")), undefined);
});

test("the first of the two languages that a reader asks for is spoken", () => {
  assert.equal(languageOf(["fr", "zh-CN", "en"]), "zh");
  assert.equal(languageOf(["en-GB", "zh"]), "en");
  assert.equal(languageOf([]), "en");
});

test("a lack of memory is one sentence, whoever says it", () => {
  for (const text of ["Array buffer allocation failed", "no available backend found. ERR: [wasm] Out of memory", "std::bad_alloc"]) {
    assert.match(sentence(new Error(text)), /^this browser has no memory left/);
  }
  assert.equal(sentence(new InputError("it is broken; mend it")), "it is broken; mend it");
  assert.equal(sentence(new TypeError("x is undefined")), "TypeError: x is undefined");
});
