// Names that the build fills in.
declare const WASM: string;
declare const WORKER: string;
declare const VERSION: string;
declare const KEPT: string[];
