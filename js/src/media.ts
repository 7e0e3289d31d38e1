import type { Channel } from "./channel";
import type { Bytes, Entry, Model } from "./model";

/** The address if a picture or video may be loaded from it, else null: never `javascript:`, `data:`, `blob:`, `file:`. */
export function safe(url: string): string | null {
  try {
    const parsed = new URL(url, document.baseURI);
    const web = ["https:", "http:"].includes(parsed.protocol) && !parsed.username && !parsed.password;
    const served = parsed.protocol === location.protocol && parsed.origin !== "null" && parsed.origin === location.origin;
    return web || served ? parsed.href : null; // `served`: hosts with a scheme of their own, such as VS Code
  } catch {
    return null;
  }
}

/** Milliseconds, days of them: nobody waits for a preview. */
const PATIENT = 1e9;

/** Previews and videos of one view, each fetched once, all object URLs given back at the end. */
export class Media {
  #previews = new Map<string, Promise<string | null>>();
  #videos = new Map<string, Promise<string | null>>();
  #urls = new Set<string>();

  constructor(
    private model: Model,
    private channel: Channel,
  ) {}

  /** An object URL for these bytes, revoked by `drop` or `close`. */
  url(blob: Blob): string {
    const url = URL.createObjectURL(blob);
    this.#urls.add(url);
    return url;
  }

  drop(url: string): void {
    if (this.#urls.delete(url)) URL.revokeObjectURL(url);
  }

  close(): void {
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls.clear();
  }

  /** A small picture of a Frame or Entry; `version` tells a first frame from a poster of the same key. */
  preview(key: string, version = ""): Promise<string | null> {
    return once(this.#previews, `${key} ${version}`, async () => {
      const answer = await this.channel.ask("preview", { key }, PATIENT);
      if (!answer?.buffer?.byteLength) return null;
      return this.url(new Blob([bytes(answer.buffer)], { type: answer.message.media_type ?? "image/jpeg" }));
    });
  }

  /** Where the host serves the saved video; null where it can't. */
  async served(entry: Entry): Promise<string | null> {
    const manager = this.model.widget_manager;
    if (!entry.video?.url || !manager?.resolveUrl) return null;
    try {
      return safe(await manager.resolveUrl(entry.video.url));
    } catch {
      return null; // the host knows the call but not this file: its bytes come from the kernel
    }
  }

  /** The video by its bytes, piece by piece; null if the kernel can't read it. */
  video(key: string, progress: (percent: number) => void): Promise<string | null> {
    return once(this.#videos, key, async () => {
      const pieces: BlobPart[] = [];
      for (let offset = 0, size = 1; offset < size; ) {
        const answer = await this.channel.ask("video", { key, offset });
        if (!answer?.buffer?.byteLength) return null;
        pieces.push(bytes(answer.buffer));
        size = answer.message.size;
        offset += answer.buffer.byteLength;
        progress(Math.floor((100 * offset) / size));
      }
      return this.url(new Blob(pieces, { type: "video/mp4" }));
    });
  }
}

/** What a buffer holds; copying frees the whole websocket frame that a view may be on. */
function bytes(buffer: Bytes): ArrayBuffer {
  if (!ArrayBuffer.isView(buffer)) return buffer;
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).slice().buffer;
}

/** One fetch a key; a failed one may be tried again. */
function once(cache: Map<string, Promise<string | null>>, key: string, fetch: () => Promise<string | null>) {
  let promise = cache.get(key);
  if (!promise) {
    promise = fetch().then((url) => {
      if (!url) cache.delete(key);
      return url;
    });
    cache.set(key, promise);
  }
  return promise;
}
