// A static host for the tests, with ranges, as most have. What a test wants to see or to break it asks for.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

/** Serves folders: `{ '/path/': folder }`. `requests` lists what was asked for; `intercept` may answer in its place. */
export async function serve(folders) {
  const host = { requests: [], intercept: undefined };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    host.requests.push({ path: pathname, range: request.headers.range });
    if (host.intercept?.(request, response, pathname)) return;
    const file = fileOf(folders, pathname);
    if (file === undefined) response.writeHead(404).end('not found');
    else send(file, request, response);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  host.origin = `http://localhost:${server.address().port}`;
  host.close = () => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  };
  return host;
}

/** The file under a path, if there is one. */
export function fileOf(folders, pathname) {
  const [prefix, folder] = Object.entries(folders).find(([prefix]) => pathname.startsWith(prefix)) ?? [];
  if (prefix === undefined) return undefined;
  const inside = normalize(decodeURIComponent(pathname.slice(prefix.length)) || 'index.html');
  if (inside.startsWith('..')) return undefined;
  const file = join(folder, inside);
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

function send(file, request, response) {
  const { size } = statSync(file);
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const headers = { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-length': size - from };
  if (from > 0) headers['content-range'] = `bytes ${from}-${size - 1}/${size}`;
  response.writeHead(from > 0 ? 206 : 200, headers);
  createReadStream(file, { start: from }).pipe(response);
}
