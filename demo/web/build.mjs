/** Builds the site's fixed part into `built`: `node build.mjs`; with `--tests`, builds and runs the unit tests. */

import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const OUT = "built";
const GENERATED = "generated"; // What is made on the way.
const RUNTIME = ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
// `ferox web` writes the service worker and the licences anew.
const COMPRESSED = /^(?!service-worker).*\.(html|css|js|mjs|wasm|svg|webmanifest)$/;
const onnxruntime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const options = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  loader: { ".wasm": "binary" },
};

function run(program, ...words) {
  const { status } = spawnSync(process.execPath, [program, ...words], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

function compileKernel() {
  mkdirSync(GENERATED, { recursive: true });
  const words = ["-O3", "--runtime", "stub", "--noAssert", "--importMemory", "--outFile", join(GENERATED, "cascade.wasm")];
  run("node_modules/assemblyscript/bin/asc.js", "kernel/cascade.ts", ...words);
}

async function bundle() {
  const modules = ["page", "worker"].map((name) => `src/${name}.ts`);
  await build({ ...options, entryPoints: modules, format: "esm", outdir: OUT });
  await build({ ...options, entryPoints: ["src/embed.ts", "src/service-worker.ts"], format: "iife", outdir: OUT });
}

/** The licences of what the built files hold of others, whole. */
function licences() {
  const read = (name) => readFileSync(join("node_modules", name), "utf8").trim();
  const version = JSON.parse(read("onnxruntime-web/package.json")).version;
  const notices = [
    [`onnxruntime-web ${version}, https://github.com/microsoft/onnxruntime`, readFileSync("licences/onnxruntime.txt", "utf8").trim()],
  ];
  return notices.map(([name, text]) => `${name}\n\n${text}\n`).join("\n\n");
}

function compress(name) {
  const content = readFileSync(join(OUT, name));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(join(OUT, `${name}.br`), brotliCompressSync(content, { params }));
}

compileKernel();
if (process.argv.includes("--tests")) {
  const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
  const entryPoints = tests.map((name) => `test/${name}`);
  await build({ ...options, minify: false, entryPoints, format: "esm", platform: "node", outdir: join(GENERATED, "test") });
  run("--test", "--test-reporter=dot", ...tests.map((name) => join(GENERATED, "test", name.replace(/\.ts$/, ".js"))));
} else {
  rmSync(OUT, { recursive: true, force: true });
  cpSync("static", OUT, { recursive: true });
  await bundle();
  for (const name of RUNTIME) copyFileSync(join(onnxruntime, name), join(OUT, name));
  writeFileSync(join(OUT, "licences.txt"), licences());
  for (const name of readdirSync(OUT)) if (COMPRESSED.test(name)) compress(name);
}
