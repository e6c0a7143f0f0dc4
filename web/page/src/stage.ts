// Where a video is seen: frames as they come, then in a loop.
import type { Frame } from '../../package/src/types.js';
import { element } from './dom.js';

const canvas = element<HTMLCanvasElement>('canvas');
const player = element<HTMLVideoElement>('player');
const play = element<HTMLButtonElement>('play');

let frames: Frame[] = [];
let fps = 16;
let isPlaying = false;
let started = 0;
let played = '';

/** An empty stage for a video of this size. */
export function clear(width: number, height: number, label: string): void {
  stop();
  frames = [];
  closePlayer();
  canvas.hidden = false;
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute('aria-label', label);
  element('empty').hidden = true;
}

/** Shows a frame; those of the video itself are kept for the loop. */
export function show(frame: Frame, isOfVideo: boolean): void {
  if (isOfVideo) frames.push(frame);
  draw(frame);
}

/** Plays what has been shown, over and over; at rest for who wants little motion. */
export function loop(rate: number): void {
  fps = rate;
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) stop();
  else start();
}

/** Plays a file. */
export function playFile(blob: Blob, label: string): void {
  stop();
  closePlayer();
  canvas.hidden = true;
  element('empty').hidden = true;
  player.hidden = false;
  played = URL.createObjectURL(blob);
  player.src = played;
  player.setAttribute('aria-label', label);
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) void player.play().catch(() => undefined);
}

play.addEventListener('click', () => (isPlaying ? stop() : start()));

function closePlayer(): void {
  player.hidden = true;
  player.removeAttribute('src');
  if (played !== '') URL.revokeObjectURL(played);
  played = '';
}

function start(): void {
  isPlaying = true;
  started = performance.now();
  sayWhatTheButtonDoes();
  requestAnimationFrame(next);
}

function stop(): void {
  isPlaying = false;
  sayWhatTheButtonDoes();
}

function sayWhatTheButtonDoes(): void {
  play.textContent = isPlaying ? 'Pause' : 'Play';
}

function next(now: number): void {
  if (!isPlaying) return;
  const frame = frames[Math.max(0, Math.floor(((now - started) * fps) / 1000)) % Math.max(1, frames.length)];
  if (frame !== undefined) draw(frame);
  requestAnimationFrame(next);
}

function draw({ width, height, rgb }: Frame): void {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const picture = new ImageData(width, height);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    picture.data[to] = rgb[from] ?? 0;
    picture.data[to + 1] = rgb[from + 1] ?? 0;
    picture.data[to + 2] = rgb[from + 2] ?? 0;
    picture.data[to + 3] = 255;
  }
  canvas.getContext('2d')?.putImageData(picture, 0, 0);
}
