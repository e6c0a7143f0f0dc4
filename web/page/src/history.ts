// Earlier videos, kept in this browser's private file system.
import type { Settings } from '../../package/src/types.js';
import { element, make, save } from './dom.js';
import { bytes } from './text.js';

/** What is kept of a video beside its file and its picture. */
interface Note {
  settings: Settings;
  type: string;
  made: number;
}

interface Kept extends Note {
  id: string;
  video: File;
  poster: File;
}

/** Hears that somebody wants to see an earlier video. */
export type Opener = (video: Blob, settings: Settings) => void;

let folder: FileSystemDirectoryHandle | undefined;
let open: Opener = () => undefined;

/** Shows what is kept, if this browser keeps anything. */
export async function prepareHistory(opener: Opener): Promise<void> {
  open = opener;
  try {
    folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('videos', { create: true });
  } catch {
    // A private window: videos are there until it is closed, and nothing says that they are kept.
    return;
  }
  element('clear').addEventListener('click', () => void removeAll());
  await refresh();
}

/** Keeps a finished video. */
export async function keep(video: Blob, poster: Blob, settings: Settings): Promise<void> {
  if (folder === undefined) return;
  const made = Date.now();
  const entry = await folder.getDirectoryHandle(`${made}-${settings.seed}`, { create: true });
  const note: Note = { settings, type: video.type, made };
  await write(entry, 'video', video);
  await write(entry, 'poster', poster);
  // The last: an entry without it was cut short and is not shown.
  await write(entry, 'note.json', new Blob([JSON.stringify(note)]));
  await refresh();
}

async function write(entry: FileSystemDirectoryHandle, name: string, contents: Blob): Promise<void> {
  const file = await (await entry.getFileHandle(name, { create: true })).createWritable();
  await file.write(contents);
  await file.close();
}

async function all(): Promise<Kept[]> {
  const found: Kept[] = [];
  for await (const [id, entry] of folder?.entries() ?? []) {
    if (!(entry instanceof FileSystemDirectoryHandle)) continue;
    const kept = await read(id, entry);
    if (kept === undefined) await folder?.removeEntry(id, { recursive: true });
    else found.push(kept);
  }
  return found.sort((one, other) => other.made - one.made);
}

async function read(id: string, entry: FileSystemDirectoryHandle): Promise<Kept | undefined> {
  try {
    const file = async (name: string) => (await entry.getFileHandle(name)).getFile();
    const note = JSON.parse(await (await file('note.json')).text()) as Note;
    return { ...note, id, video: await file('video'), poster: await file('poster') };
  } catch {
    return undefined;
  }
}

let shown: string[] = [];

async function refresh(): Promise<void> {
  const kept = await all();
  shown.forEach((address) => URL.revokeObjectURL(address));
  shown = [];
  element('history').hidden = kept.length === 0;
  const sum = kept.reduce((total, { video, poster }) => total + video.size + poster.size, 0);
  element('space').textContent = `${kept.length} kept in this browser, ${bytes(sum)}`;
  element('clips').replaceChildren(...kept.map(card));
}

function card(kept: Kept): HTMLLIElement {
  const { settings, video, poster, type } = kept;
  const address = URL.createObjectURL(poster);
  shown.push(address);
  const picture = make('img', { src: address, alt: '', width: settings.width, height: settings.height, loading: 'lazy' });
  const button = (text: string, label: string, act: () => void, className = 'quiet') => {
    const made = make('button', { type: 'button', textContent: text, className });
    made.setAttribute('aria-label', `${label}: ${settings.prompt}`);
    made.addEventListener('click', act);
    return made;
  };
  const view = button('', 'Play', () => open(new Blob([video], { type }), settings), 'open');
  view.append(picture);
  const extension = type === 'video/mp4' ? 'mp4' : 'png';
  const download = button('Download', 'Download', () => save(video, `${fileName(settings)}.${extension}`));
  const remove = button('Delete', 'Delete', () => void removeOne(kept.id));
  const row = make('div', { className: 'row' }, download, remove);
  return make('li', {}, view, make('p', { textContent: settings.prompt }), row);
}

async function removeOne(id: string): Promise<void> {
  await folder?.removeEntry(id, { recursive: true });
  await refresh();
  element('history').hidden ? element('prompt').focus() : element('clear').focus();
}

async function removeAll(): Promise<void> {
  if (!confirm('Delete all earlier videos from this browser?')) return;
  for (const { id } of await all()) await folder?.removeEntry(id, { recursive: true });
  await refresh();
  element('prompt').focus();
}

/** A name like those that the program gives: prompt and seed. */
export function fileName({ prompt, seed }: Settings): string {
  const words = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40).replace(/^-|-$/g, '');
  return `${words || 'video'}-${seed}`;
}
