// Files of models in the browser's private file system. A file that is there in part is gone on with.

export interface ListedFile {
  path: string;
  bytes: number;
  sha256: string;
}

/** One model's files. */
export interface Store {
  /** Bytes of a file that are there, checked or not. */
  size(path: string): Promise<number>;
  /** Whether a file is complete and has been checked. */
  isChecked(file: ListedFile): boolean;
  /** Notes that a file is complete and right. */
  check(file: ListedFile): Promise<void>;
  /** Opens a file for more, `at` bytes being kept. */
  append(path: string, at: number): Promise<Sink>;
  read(path: string): Promise<Blob>;
  remove(path: string): Promise<void>;
}

export interface Sink {
  write(chunk: Uint8Array<ArrayBuffer>): void;
  /** What was written stays. */
  close(): void;
}

const CHECKED = 'checked.json';

/** The store of a model, or one in memory where the browser has no private file system. */
export async function openStore(key: string): Promise<Store> {
  try {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle('models', { create: true });
    const folder = await models.getDirectoryHandle(key, { create: true });
    return await FolderStore.open(folder);
  } catch {
    // Private windows of some browsers have none.
    return new MemoryStore();
  }
}

class FolderStore implements Store {
  #folder: FileSystemDirectoryHandle;
  #checked: Record<string, string>;

  private constructor(folder: FileSystemDirectoryHandle, checked: Record<string, string>) {
    this.#folder = folder;
    this.#checked = checked;
  }

  static async open(folder: FileSystemDirectoryHandle): Promise<FolderStore> {
    try {
      const file = await (await folder.getFileHandle(CHECKED)).getFile();
      return new FolderStore(folder, JSON.parse(await file.text()) as Record<string, string>);
    } catch {
      return new FolderStore(folder, {});
    }
  }

  async size(path: string): Promise<number> {
    try {
      return (await (await this.#folder.getFileHandle(nameOf(path))).getFile()).size;
    } catch {
      return 0;
    }
  }

  isChecked(file: ListedFile): boolean {
    return this.#checked[file.path] === file.sha256;
  }

  async check(file: ListedFile): Promise<void> {
    this.#checked[file.path] = file.sha256;
    await this.#write(CHECKED, new TextEncoder().encode(JSON.stringify(this.#checked)));
  }

  async append(path: string, at: number): Promise<Sink> {
    const handle = await this.#folder.getFileHandle(nameOf(path), { create: true });
    const access = await handle.createSyncAccessHandle();
    access.truncate(at);
    let end = at;
    return {
      write(chunk) {
        end += access.write(chunk, { at: end });
      },
      close() {
        access.flush();
        access.close();
      },
    };
  }

  async read(path: string): Promise<Blob> {
    return (await this.#folder.getFileHandle(nameOf(path))).getFile();
  }

  async remove(path: string): Promise<void> {
    delete this.#checked[path];
    await this.#folder.removeEntry(nameOf(path)).catch(() => undefined);
  }

  async #write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const sink = await this.append(name, 0);
    sink.write(bytes);
    sink.close();
  }
}

class MemoryStore implements Store {
  #parts = new Map<string, Uint8Array<ArrayBuffer>[]>();
  #checked = new Set<string>();

  size(path: string): Promise<number> {
    return Promise.resolve((this.#parts.get(path) ?? []).reduce((sum, part) => sum + part.length, 0));
  }

  isChecked(file: ListedFile): boolean {
    return this.#checked.has(file.path);
  }

  check(file: ListedFile): Promise<void> {
    this.#checked.add(file.path);
    return Promise.resolve();
  }

  append(path: string, at: number): Promise<Sink> {
    const kept = at === 0 ? [] : (this.#parts.get(path) ?? []);
    this.#parts.set(path, kept);
    return Promise.resolve({ write: (chunk) => void kept.push(chunk), close: () => undefined });
  }

  read(path: string): Promise<Blob> {
    return Promise.resolve(new Blob(this.#parts.get(path) ?? []));
  }

  remove(path: string): Promise<void> {
    this.#parts.delete(path);
    return Promise.resolve();
  }
}

/** A name without folders; no two paths have the same. */
function nameOf(path: string): string {
  return encodeURIComponent(path);
}
