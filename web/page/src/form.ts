// What is asked for: the form, and the link that carries it.
import type { DeviceChoice, Facts, VideoRequest } from '../../package/src/types.js';
import { element, make } from './dom.js';

/** Prompts in the words that the built-in model knows. */
const EXAMPLES = [
  'a red balloon rising over the sea at sunset, light rain',
  'a yellow bus at a bus shelter on a rainy street at night',
  'a white sail boat sails right on the sea at dawn, mountains in the distance',
  'a green bird flies in circles over a meadow at noon',
  'a blue train rolling left over a snow field, falling snow',
  'a glowing orange lantern floats upward in the desert at night',
];

/** Columns and rows that suit the built-in model; the first are its own. */
const SIZES: [number, number][] = [[128, 80], [96, 64], [64, 48], [160, 96], [80, 128]];

const prompt = element<HTMLTextAreaElement>('prompt');
const size = element<HTMLSelectElement>('size');
const frames = element<HTMLSelectElement>('frames');
const steps = element<HTMLInputElement>('steps');
const guidance = element<HTMLInputElement>('guidance');
const seed = element<HTMLInputElement>('seed');
const device = element<HTMLSelectElement>('device');

/** Fills the form and keeps its summary true. */
export function prepareForm(): void {
  offerSizes(SIZES);
  offerLengths(4, 33, 16);
  element('examples').append(...EXAMPLES.map((text) => make('li', {}, example(text))));
  element('reseed').addEventListener('click', () => {
    seed.value = freshSeed();
    summarise();
  });
  element('form').addEventListener('input', summarise);
  readLink();
  summarise();
}

function example(text: string): HTMLButtonElement {
  const button = make('button', { type: 'button', textContent: text });
  button.addEventListener('click', () => {
    prompt.value = text;
    prompt.focus();
  });
  return button;
}

/** Offers what suits a model that has been opened. */
export function offer(facts: Facts): void {
  const { width, height, frames: count, fps, steps: number, guidance: scale } = facts.defaults;
  const half = (side: number) => Math.max(facts.sideStep, Math.round(side / 2 / facts.sideStep) * facts.sideStep);
  const isBuiltIn = width === SIZES[0]?.[0] && height === SIZES[0]?.[1];
  offerSizes(isBuiltIn ? SIZES : [[width, height], [half(width), half(height)], [height, width]]);
  offerLengths(facts.frameStep, count, fps);
  steps.value = String(number);
  guidance.value = String(scale);
  summarise();
}

function offerSizes(sizes: [number, number][]): void {
  const words = ([width, height]: [number, number], index: number) =>
    `${width} × ${height}${index === 0 ? ' (the model’s own)' : ''}`;
  choose(size, sizes.map((pair, index) => [pair.join('x'), words(pair, index)]));
}

function offerLengths(step: number, own: number, fps: number): void {
  const rounded = (count: number) => Math.max(1, Math.round((count - 1) / step)) * step + 1;
  const counts = [own, ...[own / 4, own / 2, own * 1.5].map(rounded)];
  const words = (count: number) => `${(count / fps).toFixed(1)} s, ${count} frames`;
  choose(frames, [...new Set(counts)].map((count) => [String(count), words(count)]));
}

function choose(select: HTMLSelectElement, options: [string, string][]): void {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) select.value = before;
}

function summarise(): void {
  const chosen = size.selectedOptions[0]?.value.replace('x', ' × ') ?? '';
  const count = Number(frames.value);
  element('summary').textContent = `${chosen}, ${count} frames, ${steps.value} steps, seed ${seed.value}`;
}

/** What the form asks for. */
export function asked(): VideoRequest {
  const [width, height] = size.value.split('x').map(Number);
  return {
    prompt: prompt.value.trim(),
    ...(width !== undefined && height !== undefined ? { width, height } : {}),
    frames: Number(frames.value),
    steps: steps.valueAsNumber,
    guidance: guidance.valueAsNumber,
    seed: seed.value,
  };
}

export function chosenDevice(): DeviceChoice {
  return device.value as DeviceChoice;
}

/** Another seed of 32 bits: short enough to read out. */
function freshSeed(): string {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

const LINKED = { size, frames, steps, guidance, seed };

/** The address of this page with prompt and settings. */
export function linkOf(request: VideoRequest): string {
  const fields = {
    prompt: request.prompt,
    size: `${request.width}x${request.height}`,
    frames: String(request.frames),
    steps: String(request.steps),
    guidance: String(request.guidance),
    seed: String(request.seed),
  };
  const address = new URL(location.href);
  address.hash = new URLSearchParams(fields).toString();
  return address.href;
}

/** Fills in what the address carries; what makes no sense is left as it is. */
function readLink(): void {
  const given = new URLSearchParams(location.hash.slice(1));
  prompt.value = given.get('prompt') ?? prompt.value;
  for (const [name, field] of Object.entries(LINKED)) {
    const before = field.value;
    const value = given.get(name);
    if (value === null) continue;
    if (field instanceof HTMLSelectElement) admit(field, name, value);
    field.value = value;
    if (field.value === '' || !field.checkValidity()) field.value = before;
  }
  element<HTMLDetailsElement>('settings').open = given.has('steps');
}

/** A size or length of another model is an option too. */
function admit(field: HTMLSelectElement, name: string, value: string): void {
  const isKnown = [...field.options].some((option) => option.value === value);
  const makesSense = name === 'size' ? /^[1-9]\d{0,3}x[1-9]\d{0,3}$/.test(value) : /^[1-9]\d{0,3}$/.test(value);
  if (!isKnown && makesSense) field.add(new Option(name === 'size' ? value.replace('x', ' × ') : `${value} frames`, value));
}
