/** Finds and reads faces beside the page, so that it stays quick: everything that takes time runs here. */

import { Engine, prepare } from "./engine.ts";
import { sentence } from "./errors.ts";
import { DETECTION_SIDE, HaarFinder, faceCrops, frameSide, type FaceCrop, type Finder, type Policy } from "./faces.ts";
import type { Image } from "./image.ts";
import { pixelsOf, readPicture } from "./pictures.ts";
import type { Answers, Reading, Request } from "./reading.ts";
import { fetchBytes, fetchCascade, type SiteModel } from "./site.ts";

const engines = new Map<string, Promise<Engine>>();
let base = "";
let finder: Promise<Finder>;

async function answer(request: Request): Promise<Answers[Request["kind"]]> {
  switch (request.kind) {
    case "start":
      base = request.base;
      finder = fetchCascade(base).then((cascade) => new HaarFinder(cascade));
      return { threads: prepare(base) };
    case "load":
      return (await engine(request.model)).manifest;
    case "read":
      return read(() => readPicture(request.picture, request.name), request.policy, () => DETECTION_SIDE, request.models);
    case "frame":
      return read(() => Promise.resolve(pixelsOf(request.bitmap)), "auto", frameSide, request.models).finally(() => {
        request.bitmap.close();
      });
  }
}

/** Returns a model's engine, loaded once; one that failed is tried again. */
function engine(model: SiteModel): Promise<Engine> {
  let loading = engines.get(model.name);
  if (loading === undefined) {
    const bytes = fetchBytes(new URL(model.file, base));
    loading = bytes.then((content) => Engine.load(content, model.title, model.digest));
    loading.catch(() => engines.delete(model.name));
    engines.set(model.name, loading);
  }
  return loading;
}

async function read(
  picture: () => Promise<Image>,
  policy: Policy,
  side: (image: Image) => number,
  models: readonly SiteModel[],
): Promise<Reading> {
  const loaded = await Promise.all(models.map(engine));
  const search = await finder;
  const began = performance.now();
  const image = await picture();
  const faces: FaceCrop[] = faceCrops(image, search, policy, side(image));
  const crops = faces.map((face) => face.pixels);
  const answers: Float32Array[][] = [];
  for (const each of loaded) answers.push(await each.predict(crops));
  const milliseconds = performance.now() - began;
  const { width, height } = image;
  return { width, height, boxes: faces.map((face) => face.box), crops, answers, models, milliseconds };
}

self.addEventListener("message", ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  answer(data.request)
    .then((value) => {
      self.postMessage({ id: data.id, value });
    })
    .catch((error: unknown) => {
      self.postMessage({ id: data.id, error: sentence(error) });
    });
});
