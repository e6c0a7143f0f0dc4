// Keeps the page for visits without a connection. Files with a hash in their names never change; a new version brings a
// new list, is fetched beside the old one, and is taken on the next visit.
const worker = self as unknown as ServiceWorkerGlobalScope;
const NAME = `kinora ${VERSION}`;

worker.addEventListener('install', (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(KEPT.map((path) => new Request(path, { cache: 'no-cache' })))));
});

worker.addEventListener('activate', (event) => {
  const outdated = (names: string[]) => names.filter((name) => name.startsWith('kinora ') && name !== NAME);
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(outdated(names).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener('fetch', (event) => {
  const address = new URL(event.request.url);
  const isOurs = address.href.startsWith(worker.registration.scope) && !address.pathname.includes('/model/');
  if (event.request.method !== 'GET' || !isOurs) return;
  event.respondWith(answer(event.request));
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, { ignoreSearch: request.mode === 'navigate' });
  return kept ?? fetch(request);
}
