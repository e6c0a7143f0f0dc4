// Which model makes the videos: the built-in one, or files that the person picks.
import type { ModelSource } from '../../package/src/types.js';
import { element } from './dom.js';
import { bytes } from './text.js';

const builtIn = new URL('model', document.baseURI).href;
const folder = element<HTMLInputElement>('folder');
const back = element<HTMLButtonElement>('builtin');
const name = element('model-name');

let chosen: ModelSource = builtIn;

/** Hears that another model was chosen. */
export function prepareModels(changed: () => void): void {
  folder.addEventListener('change', () => {
    const files = [...(folder.files ?? [])];
    if (files.length === 0) return;
    const sum = files.reduce((total, file) => total + file.size, 0);
    choose(files, `${files[0]?.webkitRelativePath.split('/')[0] ?? 'folder'}, ${bytes(sum)}`);
    changed();
  });
  back.addEventListener('click', () => {
    folder.value = '';
    choose(builtIn, 'built in');
    folder.focus();
    changed();
  });
}

function choose(model: ModelSource, words: string): void {
  chosen = model;
  name.textContent = words;
  back.hidden = model === builtIn;
}

export function chosenModel(): ModelSource {
  return chosen;
}

/** Bytes that the built-in model takes, told before they are fetched; 0 once they are here. */
export async function downloadSize(): Promise<number> {
  if (chosen !== builtIn || (await isHere())) return 0;
  const response = await fetch(`${builtIn}/kinora-model.json`);
  const listing = (await response.json()) as { files: { bytes: number }[] };
  return listing.files.reduce((total, file) => total + file.bytes, 0);
}

/** Whether all files of the built-in model lie in this browser. */
async function isHere(): Promise<boolean> {
  try {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
    const kept = await models.getDirectoryHandle(encodeURIComponent(`${builtIn}/`));
    const text = async (file: string) => (await (await kept.getFileHandle(file)).getFile()).text();
    const checked = JSON.parse(await text('checked.json')) as Record<string, string>;
    const listing = JSON.parse(await text('kinora-model.json')) as { files: { path: string; sha256: string }[] };
    return listing.files.every((file) => checked[file.path] === file.sha256);
  } catch {
    return false;
  }
}
