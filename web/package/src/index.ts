// kinora-web: text to video in a browser tab.
export { Kinora } from './kinora.js';
export { Video } from './video.js';
export { support } from './support.js';
export type { Support } from './support.js';
export * from './errors.js';
export type * from './types.js';
