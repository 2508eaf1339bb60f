// What onnxruntime-web does as a contender of a benchmark, under Node.js and in a browser alike.

const SIDE = 48;
const CLASSES = 7;
const BATCH = 64;
const WARM_UP = 0.2; // Of a turn's length, as in contender.py.

/** Opens a model and answers one face. `piece` is how many faces it takes at once, 0 any number. */
export async function begin(ort, { model, pixels, piece, threads }) {
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const faces = pixels.length / SIDE ** 2;

  async function run(batch) {
    const count = batch.length / SIDE ** 2;
    const size = piece || count;
    const answers = new Float32Array(Math.ceil(count / size) * size * CLASSES);
    for (let start = 0; start < count; start += size) {
      let part = batch.subarray(start * SIDE ** 2, (start + size) * SIDE ** 2);
      if (part.length < size * SIDE ** 2) {
        const filled = new Uint8Array(size * SIDE ** 2);
        filled.set(part);
        part = filled;
      }
      const { logits } = await session.run({ pixels: new ort.Tensor("uint8", part, [size, SIDE, SIDE]) });
      answers.set(logits.data, start * CLASSES);
    }
    return answers.subarray(0, count * CLASSES);
  }

  async function calls(batch, seconds) {
    const taken = [];
    const ends = performance.now() + 1000 * seconds;
    while (taken.length === 0 || performance.now() < ends) {
      const began = performance.now();
      await run(batch);
      taken.push(performance.now() - began);
    }
    return taken;
  }

  await run(pixels.subarray(0, SIDE ** 2));
  return {
    threads: ort.env.wasm.numThreads,
    async answer() {
      const rows = [];
      for (let start = 0; start < faces; start += BATCH) {
        const answers = await run(pixels.subarray(start * SIDE ** 2, (start + BATCH) * SIDE ** 2));
        for (let at = 0; at < answers.length; at += CLASSES) rows.push([...answers.subarray(at, at + CLASSES)]);
      }
      return rows;
    },
    async turn(count, seconds) {
      const batch = new Uint8Array(count * SIDE ** 2);
      for (let face = 0; face < count; face++) {
        const from = (face % faces) * SIDE ** 2;
        batch.set(pixels.subarray(from, from + SIDE ** 2), face * SIDE ** 2);
      }
      const began = performance.now();
      await calls(batch, WARM_UP * seconds);
      const milliseconds = await calls(batch, seconds);
      return { milliseconds, elapsed: performance.now() - began };
    },
  };
}
