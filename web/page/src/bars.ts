// One bar to each stage that takes time, and a line that is read aloud when a stage begins.
import type { Progress } from '../../package/src/types.js';
import { element, make } from './dom.js';
import { bytes, time } from './text.js';

type Stage = Progress['stage'];

const NAMES: Partial<Record<Stage, string>> = {
  downloading: 'Downloading the model',
  compiling: 'Compiling for this GPU',
  tuning: 'Trying kernels on this GPU',
  denoising: 'Making the video',
  decoding: 'Drawing the frames',
};

interface Bar {
  row: HTMLElement;
  progress: HTMLProgressElement;
  count: HTMLElement;
}

const bars = new Map<Stage, Bar>();
const box = element('bars');
const status = element('status');
let announced = '';

/** Takes all bars away. */
export function reset(): void {
  bars.clear();
  box.replaceChildren();
  box.hidden = true;
}

export function update(progress: Progress): void {
  const name = NAMES[progress.stage];
  if (name === undefined || progress.total === 0) return;
  const bar = bars.get(progress.stage) ?? add(progress.stage, name);
  bar.progress.max = progress.total;
  bar.progress.value = progress.done;
  bar.count.textContent = words(progress);
  announce(`${name}…`);
}

/** Says something once, to eyes and to screen readers. */
export function announce(text: string): void {
  if (text === announced) return;
  announced = text;
  status.textContent = text;
}

function add(stage: Stage, name: string): Bar {
  const id = `bar-${stage}`;
  const progress = make('progress', { id });
  const count = make('span', { className: 'count' });
  const label = make('label', { htmlFor: id, textContent: name });
  const bar = { row: make('div', { className: 'bar' }, label, count, progress), progress, count };
  bars.set(stage, bar);
  box.append(bar.row);
  box.hidden = false;
  return bar;
}

function words({ stage, done, total, secondsLeft }: Progress): string {
  const parts = stage === 'downloading' ? `${bytes(done)} of ${bytes(total)}` : `${done} of ${total}`;
  if (done >= total) return parts;
  return secondsLeft === undefined ? parts : `${parts}, ${time(secondsLeft)} left`;
}
