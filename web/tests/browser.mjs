// The browser that the tests drive, and the native program that they compare with.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from './server.mjs';

export const here = dirname(fileURLToPath(import.meta.url));
export const web = dirname(here);
export const root = dirname(web);
/** Pictures to be looked at. */
export const artefacts = join(web, 'dist/artefacts');
mkdirSync(artefacts, { recursive: true });

const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

/** A Chromium with a software GPU, or with none. */
export function launch({ gpu = true } = {}) {
  const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
  const args = ['--no-sandbox', ...(gpu ? WEBGPU : ['--disable-features=WebGPU', '--disable-gpu'])];
  return chromium.launch({ executablePath, args });
}

/** A page with what it must not do: errors, refusals by its policy, requests to others. */
export async function open(browser, address, { path = '', ...options } = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`${error.stack ?? error}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(address).origin) complaints.push(`asked ${request.url()}`);
  });
  await page.goto(address + path);
  return { page, context, complaints };
}

/** A host of the built page, under a path. */
export async function hostPage(more = {}) {
  const host = await serve({ '/some/where/': join(web, 'dist/page'), '/package/': join(web, 'dist/package'), ...more });
  host.page = `${host.origin}/some/where/`;
  return host;
}

/** Frames that the native program makes, as one array of RGB bytes to each. */
export function native(args) {
  const program = process.env.KINORA ?? join(root, 'target/release/kinora');
  const folder = mkdtempSync(join(tmpdir(), 'kinora-web-'));
  try {
    const file = join(folder, 'clip.apng');
    execFileSync(program, ['generate', ...args, '--native-size', '--out', file, '--device', 'cpu'], { stdio: ['ignore', 'pipe', 'pipe'] });
    return frames(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file's frames as RGB bytes, read by ffmpeg. */
export function frames(file) {
  const { width, height } = probe(file);
  const args = ['-v', 'error', '-i', file, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  const bytes = execFileSync('ffmpeg', args, { maxBuffer: 1 << 30 });
  const size = width * height * 3;
  return Array.from({ length: bytes.length / size }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** What ffprobe says of a file's video. */
export function probe(file) {
  const shown = ['-count_frames', '-select_streams', 'v', '-show_streams', '-show_format', '-of', 'json'];
  const { streams, format } = JSON.parse(execFileSync('ffprobe', ['-v', 'error', ...shown, file]));
  return { ...streams[0], tags: format.tags };
}

/** Peak signal-to-noise ratio in decibels, over all frames; infinite for equal ones. */
export function psnr(some, others) {
  if (some.length !== others.length || some.length === 0) return Number.NaN;
  let squares = 0;
  let count = 0;
  some.forEach((frame, index) => {
    if (frame.length !== others[index].length) squares = Number.NaN;
    for (let at = 0; at < frame.length; at += 1) squares += (frame[at] - others[index][at]) ** 2;
    count += frame.length;
  });
  return 10 * Math.log10((255 * 255 * count) / squares);
}
