// Builds what this folder ships: `dist/package` (the library) and `dist/page` (the page, for any static host).
//
//   node build.mjs [--no-model]      --no-model leaves the default model out of the page
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const target = resolve(process.env.CARGO_TARGET_DIR ?? join(root, 'target'));
const dist = join(here, 'dist');
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Builds a crate for the browser, and the JavaScript beside it. */
export function wasm(crate, name, folder) {
  const output = execFileSync('bash', ['.ci/wasm-cargo', '--profile', 'web', '-p', crate, '--message-format=json-render-diagnostics'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
  const artifacts = output.toString().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const made = artifacts.filter((line) => line.reason === 'compiler-artifact').flatMap((line) => line.filenames);
  const file = made.find((path) => path.endsWith(`${crate.replaceAll('-', '_')}.wasm`));
  mkdirSync(folder, { recursive: true });
  const bindings = ['run', '--quiet', '--release', '--locked', '--manifest-path', join(here, 'bindings/Cargo.toml')];
  execFileSync('cargo', [...bindings, '--target-dir', join(target, 'bindings'), '--', file, folder, name], { stdio: 'inherit' });
}

async function library() {
  const folder = join(dist, 'package');
  rmSync(folder, { recursive: true, force: true });
  const common = { bundle: true, format: 'esm', target: 'es2022', outdir: folder, absWorkingDir: here };
  await build({ ...common, entryPoints: { index: 'package/src/index.ts', worker: 'package/src/worker/main.ts' } });
  cpSync(join(dist, 'bindings/kinora_bg.wasm'), join(folder, 'kinora.wasm'));
  execFileSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', 'package'], { cwd: here, stdio: 'inherit' });
}

/** Files of the page whose names hold a hash of what is in them: they are kept for good. */
function hashed(folder, name, bytes) {
  const [, stem, extension] = /^(.*)(\.[a-z]+)$/.exec(name);
  const full = `${stem}-${hash(bytes).slice(0, 10)}${extension}`;
  writeFileSync(join(folder, full), bytes);
  return full;
}

const CSP = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  'media-src blob:',
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

async function page(withModel) {
  const folder = join(dist, 'page');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const assets = {};
  assets.wasm = hashed(folder, 'kinora.wasm', readFileSync(join(dist, 'bindings/kinora_bg.wasm')));
  const bundle = async (entry, define = {}) => {
    const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, absWorkingDir: here };
    return (await build({ ...options, entryPoints: [entry], define })).outputFiles[0].contents;
  };
  assets.worker = hashed(folder, 'worker.js', await bundle('package/src/worker/main.ts'));
  const names = { WASM: JSON.stringify(assets.wasm), WORKER: JSON.stringify(assets.worker) };
  assets.script = hashed(folder, 'page.js', await bundle('page/src/main.ts', names));
  assets.style = hashed(folder, 'style.css', readFileSync(join(here, 'page/style.css')));
  for (const name of ['icon.svg', 'manifest.webmanifest']) cpSync(join(here, 'page', name), join(folder, name));
  const html = readFileSync(join(here, 'page/index.html'), 'utf8');
  const filled = html.replace('%CSP%', CSP).replace('%STYLE%', assets.style).replace('%SCRIPT%', assets.script);
  writeFileSync(join(folder, 'index.html'), filled);
  const kept = ['./', ...Object.values(assets), 'icon.svg', 'manifest.webmanifest'];
  const version = hash(filled + kept.join()).slice(0, 16);
  const worker = await bundle('page/src/sw.ts', { VERSION: JSON.stringify(version), KEPT: JSON.stringify(kept) });
  writeFileSync(join(folder, 'sw.js'), worker);
  if (withModel) model(join(folder, 'model'));
}

/** The default model and the list of its files. */
function model(folder) {
  const weights = join(root, 'default-model/weights');
  // Python's slow tokenizer alone reads it.
  const paths = files(weights).filter((path) => path !== 'tokenizer/spiece.model');
  const list = paths.map((path) => {
    const bytes = readFileSync(join(weights, path));
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
    return { path, bytes: bytes.length, sha256: hash(bytes) };
  });
  writeFileSync(join(folder, 'kinora-model.json'), JSON.stringify({ name: 'default', files: list }, undefined, 1));
}

function files(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  return paths.map((path) => path.replaceAll('\\', '/')).sort();
}

/** What a first visit downloads, compressed as a web server would. */
function report() {
  const folder = join(dist, 'page');
  let sum = 0;
  for (const path of files(folder).filter((path) => !path.startsWith('model/'))) {
    const bytes = readFileSync(join(folder, path));
    const small = brotliCompressSync(bytes).length;
    sum += small;
    console.log(`${path.padEnd(28)} ${String(bytes.length).padStart(9)} bytes, brotli ${String(small).padStart(9)}`);
  }
  console.log(`${'first visit, without model'.padEnd(28)} ${''.padStart(9)}        brotli ${String(sum).padStart(9)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  wasm('kinora-web', 'kinora', join(dist, 'bindings'));
  await library();
  await page(!process.argv.includes('--no-model'));
  report();
}
