/**
 * Keeps the site for visits without a network: what the first answer needs at once, other models when they are used.
 *
 * A new version of the site is another cache, filled whole before it is used, and used once no page of the old one is open.
 */

export {}; // A module, in which `self` may be declared.
declare const self: ServiceWorkerGlobalScope;

/** `ferox web` puts the site's version and the files that the first answer needs in this place. */
declare const FEROX_SITE: { readonly version: string; readonly files: readonly string[] };

const PREFIX = `ferox ${self.registration.scope} `;
const NAME = PREFIX + FEROX_SITE.version;

async function keep(): Promise<void> {
  const cache = await caches.open(NAME);
  // Asked for anew, since a browser's own cache may hold files of another version.
  await cache.addAll(FEROX_SITE.files.map((file) => new Request(file, { cache: "no-cache" })));
}

async function forgetOthers(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept !== undefined) return kept;
  const response = await fetch(request);
  if (response.status === 200) await cache.put(request, response.clone());
  return response;
}

self.addEventListener("install", (event) => {
  event.waitUntil(keep());
});
self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers());
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(answer(request));
});
