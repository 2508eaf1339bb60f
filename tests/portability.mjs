// onnxruntime-web's answer: portability.mjs RUNTIME_FOLDER MODEL PIXELS COUNT OUT
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, model, pixels, count, out] = process.argv.slice(2);
const entry = createRequire(path.resolve(folder, "package.json")).resolve("onnxruntime-web");
const ort = await import(pathToFileURL(entry));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(model)));
const faces = new ort.Tensor("uint8", new Uint8Array(fs.readFileSync(pixels)), [Number(count), 48, 48]);
const answer = await session.run({ pixels: faces });
fs.writeFileSync(out, Buffer.from(answer.probabilities.data.buffer));
