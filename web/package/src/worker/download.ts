// Brings a model's files into the store: one total in bytes, gone on with where it stopped, each file checked.
import { DownloadError, ModelError } from '../errors.js';
import type { ListedFile, Store } from './store.js';
import { openStore } from './store.js';

interface Listing {
  name: string;
  files: ListedFile[];
}

/** The digest of a file, as wasm computes it piece by piece. */
export type Digest = (file: Blob) => Promise<string>;

/** A model that has arrived. */
export interface Arrived {
  name: string;
  files: { path: string; blob: Blob }[];
}

/** Brings the model at the address of a folder, whose `kinora-model.json` lists its files. */
export async function download(
  folder: string,
  digest: Digest,
  tell: (done: number, total: number) => void,
): Promise<Arrived> {
  const base = folder.endsWith('/') ? folder : `${folder}/`;
  const key = encodeURIComponent(base);
  // Two tabs would write to the same files.
  return navigator.locks.request(`kinora model ${key}`, async () => {
    const store = await openStore(key);
    const listing = await listingOf(base, store);
    const total = listing.files.reduce((sum, file) => sum + file.bytes, 0);
    let before = 0;
    for (const file of listing.files) {
      await bring(base, file, store, digest, (done) => tell(before + done, total));
      before += file.bytes;
      tell(before, total);
    }
    const read = async ({ path }: ListedFile) => ({ path, blob: await store.read(path) });
    return { name: listing.name, files: await Promise.all(listing.files.map(read)) };
  });
}

const LISTING = 'kinora-model.json';

/** The newest listing, or the one that is kept where there is no connection. */
async function listingOf(base: string, store: Store): Promise<Listing> {
  const address = new URL(LISTING, base);
  let text: string;
  try {
    const response = await fetch(address, { cache: 'no-cache' });
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    text = await response.text();
    await keep(store, text);
  } catch (cause) {
    if ((await store.size(LISTING)) === 0) {
      throw new DownloadError('download', `the list of the model's files did not arrive from ${address.href}`, { cause });
    }
    text = await (await store.read(LISTING)).text();
  }
  return parsed(text, address);
}

async function keep(store: Store, text: string): Promise<void> {
  const sink = await store.append(LISTING, 0);
  sink.write(new TextEncoder().encode(text));
  sink.close();
}

function parsed(text: string, address: URL): Listing {
  try {
    const listing = JSON.parse(text) as Listing;
    const isFile = (file: ListedFile) =>
      typeof file.path === 'string' && Number.isSafeInteger(file.bytes) && /^[0-9a-f]{64}$/.test(file.sha256);
    if (typeof listing.name === 'string' && listing.files.every(isFile)) return listing;
  } catch {
    // Said below.
  }
  throw new ModelError('model', `${address.href} is no list of a model's files`);
}

async function bring(
  base: string,
  file: ListedFile,
  store: Store,
  digest: Digest,
  tell: (done: number) => void,
): Promise<void> {
  if (store.isChecked(file)) return;
  const kept = await store.size(file.path);
  const from = kept > file.bytes ? 0 : kept;
  if (from < file.bytes) await fetchRest(new URL(file.path, base), file, from, store, tell);
  if ((await digest(await store.read(file.path))) === file.sha256) return store.check(file);
  await store.remove(file.path);
  // What was kept may be of an older version.
  if (from > 0) return bring(base, file, store, digest, tell);
  throw new DownloadError('download', `${file.path} has arrived damaged`, {
    hint: 'Try again: it will be downloaded anew.',
  });
}

async function fetchRest(
  address: URL,
  file: ListedFile,
  from: number,
  store: Store,
  tell: (done: number) => void,
): Promise<void> {
  const failed = (cause: unknown) =>
    new DownloadError('download', `${file.path} did not arrive from ${address.href}`, { cause });
  const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
  const response = await fetch(address, { headers, cache: 'no-store' }).catch((cause: unknown) => {
    throw failed(cause);
  });
  if (!response.ok || response.body === null) throw failed(`the server answers ${response.status}`);
  // A server without ranges sends it from the beginning.
  let at = response.status === 206 ? from : 0;
  const sink = await store.append(file.path, at);
  try {
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      sink.write(part.value);
      at += part.value.length;
      tell(Math.min(at, file.bytes));
    }
  } catch (cause) {
    throw failed(cause);
  } finally {
    sink.close();
  }
  if (at !== file.bytes) throw failed(`${at} bytes instead of ${file.bytes}`);
}
