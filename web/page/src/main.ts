// The page: what happens when.
import { Kinora } from '../../package/src/kinora.js';
import { KinoraError } from '../../package/src/errors.js';
import { support } from '../../package/src/support.js';
import type { Settings } from '../../package/src/types.js';
import type { Video } from '../../package/src/video.js';
import * as bars from './bars.js';
import { element, save } from './dom.js';
import { asked, chosenDevice, linkOf, offer, prepareForm } from './form.js';
import { fileName, keep, prepareHistory } from './history.js';
import { chosenModel, downloadSize, prepareModels } from './models.js';
import * as stage from './stage.js';
import { bytes, time } from './text.js';

const generate = element<HTMLButtonElement>('generate');
const cancel = element<HTMLButtonElement>('cancel');
const tools = element('tools');
const failure = element('failure');

let kinora: Kinora | undefined;
/** What the open model was opened for. */
let openedFor = '';
let models = 0;
let running: AbortController | undefined;
let video: Video | undefined;
/** What is on the stage. */
let shown: { settings: Settings; blob: Blob } | undefined;

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running === undefined) void run();
});
cancel.addEventListener('click', () => running?.abort());
element('save').addEventListener('click', () => shown && save(shown.blob, `${fileName(shown.settings)}.${extension()}`));
element('save-apng').addEventListener('click', () => void saveAs('apng'));
element('save-png').addEventListener('click', () => void saveAs('png'));
element('link').addEventListener('click', () => void copyLink());

prepareForm();
prepareModels(() => {
  models += 1;
  void open();
});
void prepareHistory(reopen);
void greet();
if ('serviceWorker' in navigator) void navigator.serviceWorker.register('sw.js').catch(() => undefined);

/** Says what will compute, and what it will cost, before anything is fetched. */
async function greet(): Promise<void> {
  const can = await support();
  if (!can.wasm) {
    const banner = element('unsupported');
    banner.textContent = 'This browser is too old to compute here: it has no WebAssembly with vectors. A current Chrome, Edge, Firefox or Safari has.';
    banner.hidden = false;
    generate.disabled = true;
    return;
  }
  element('machine').textContent = can.gpu
    ? 'This browser has WebGPU: the GPU computes, if it is a real one.'
    : 'This browser gives pages no GPU (no WebGPU), so the CPU computes: about a quarter of a minute for a clip of the usual size.';
  const size = await downloadSize().catch(() => 0);
  element('cost').textContent = size > 0 ? `The first time it downloads the model, ${bytes(size)}, and keeps it in this browser.` : '';
}

/** Opens the chosen model on the chosen device, unless it is open. */
async function open(signal?: AbortSignal): Promise<Kinora | undefined> {
  const wanted = `${models} ${chosenDevice()}`;
  if (kinora !== undefined && openedFor === wanted) return kinora;
  kinora?.close();
  kinora = undefined;
  try {
    kinora = await Kinora.create({
      model: chosenModel(),
      device: chosenDevice(),
      onProgress: bars.update,
      assets: { worker: new URL(WORKER, document.baseURI), wasm: new URL(WASM, document.baseURI) },
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (reason) {
    if (signal !== undefined) throw reason;
    fail(reason);
    return undefined;
  }
  openedFor = wanted;
  element('cost').textContent = '';
  const { facts } = kinora;
  element('machine').textContent = `Computes on ${facts.device === 'gpu' ? `the GPU, ${facts.deviceName}` : 'the CPU'}.`;
  // The form is the person's once it was sent; a model that was just picked has its own sizes.
  if (signal === undefined) offer(facts);
  return kinora;
}

async function run(): Promise<void> {
  const request = asked();
  begin();
  const signal = (running as AbortController).signal;
  const start = performance.now();
  try {
    const opened = await open(signal);
    if (opened === undefined) return;
    const { settings, notices } = await opened.resolve(request);
    notices.forEach(tell);
    stage.clear(settings.width, settings.height, settings.prompt);
    video = await opened.generate({
      ...request,
      signal,
      onProgress: bars.update,
      onFrame: (frame) => stage.show(frame, true),
      onPreview: (frames) => frames[0] && stage.show(frames[0], false),
      onNotice: tell,
    });
    finish(video, (performance.now() - start) / 1000);
    await keep(video.blob, await video.encode('png'), video.settings).catch(() => tell('This video could not be kept in the browser.'));
  } catch (reason) {
    if (signal.aborted) bars.announce('Cancelled.');
    else fail(reason);
  } finally {
    end();
  }
}

function begin(): void {
  running = new AbortController();
  bars.reset();
  bars.announce('Starting…');
  failure.hidden = true;
  tools.hidden = true;
  element('caption').textContent = '';
  generate.disabled = true;
  cancel.hidden = false;
  cancel.focus();
}

function end(): void {
  running = undefined;
  generate.disabled = false;
  if (document.activeElement === cancel) generate.focus();
  cancel.hidden = true;
  bars.reset();
}

function finish(made: Video, seconds: number): void {
  present(made.blob, made.settings, true);
  stage.loop(made.settings.fps);
  bars.announce(`Done in ${time(seconds)}.`);
}

/** Puts a finished video's tools below the stage. */
function present(blob: Blob, settings: Settings, isNew: boolean): void {
  shown = { blob, settings };
  tools.hidden = false;
  for (const id of ['play', 'save-apng', 'save-png']) element(id).hidden = !isNew;
  element('save').textContent = `Download ${extension() === 'mp4' ? 'MP4' : 'APNG'}`;
  element('caption').textContent = settings.prompt;
}

function reopen(blob: Blob, settings: Settings): void {
  if (running !== undefined) return;
  video = undefined;
  stage.playFile(blob, settings.prompt);
  present(blob, settings, false);
  element('canvas').scrollIntoView({ block: 'nearest' });
}

function extension(): string {
  return shown?.blob.type === 'video/mp4' ? 'mp4' : 'png';
}

async function saveAs(format: 'apng' | 'png'): Promise<void> {
  if (video === undefined) return;
  try {
    save(await video.encode(format), `${fileName(video.settings)}${format === 'apng' ? '' : '-frame'}.png`);
  } catch (reason) {
    fail(reason);
  }
}

async function copyLink(): Promise<void> {
  if (shown === undefined) return;
  const link = linkOf(shown.settings);
  history.replaceState(undefined, '', link);
  const copied = await navigator.clipboard.writeText(link).then(() => true, () => false);
  bars.announce(copied ? 'The link is in the clipboard.' : 'The address of this page is the link now.');
}

function tell(text: string): void {
  bars.announce(text);
}

function fail(reason: unknown): void {
  const known = reason instanceof KinoraError;
  const strong = document.createElement('strong');
  strong.textContent = known ? reason.message : String(reason);
  const cause = known && reason.cause !== undefined ? ` (${String(reason.cause)})` : '';
  failure.replaceChildren(strong, `${known ? reason.hint : 'Reload the page and try again.'}${cause}`);
  failure.hidden = false;
  bars.announce('');
}
