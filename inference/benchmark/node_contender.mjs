// One contender of a benchmark: onnxruntime-web under Node.js, on WebAssembly.
// node_contender.mjs RUNTIME_FOLDER MODEL BATCH PIXELS THREADS; what is said on stdin and stdout: messages.py.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, model, piece, file, threads] = process.argv.slice(2);
const { begin } = await import("./web_contender.mjs");
const ort = await import(pathToFileURL(path.join(folder, "ort.node.min.mjs")));
const { version } = JSON.parse(fs.readFileSync(path.join(folder, "..", "package.json"), "utf8"));

function say(message) {
  fs.writeSync(1, `${JSON.stringify(message)}\n`);
}

const contender = await begin(ort, {
  model: new Uint8Array(fs.readFileSync(model)),
  pixels: new Uint8Array(fs.readFileSync(file)),
  piece: Number(piece),
  threads: Number(threads),
});
say({ version, threads: contender.threads, remark: "" });
for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.do === "answer") {
    say({ logits: await contender.answer() });
    continue;
  }
  const worked = process.cpuUsage();
  const { milliseconds, elapsed } = await contender.turn(request.batch, request.seconds);
  const { user, system } = process.cpuUsage(worked);
  // Of the warm-up, too, which is told apart from the counted calls by neither clock.
  say({ milliseconds, busy: (user + system) / 1000 / elapsed, memory: process.resourceUsage().maxRSS * 1024 });
}
process.exit(0);
