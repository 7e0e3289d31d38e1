import { type Channel, unique } from "./channel";
import type { Slot } from "./model";

/** Bytes a chunk. Every host carries 512 KB (docs/architecture.md); this is below it whichever way a KB is counted. */
export const CHUNK = 500_000;
/** Bytes a chunk may grow to on a Jupyter server's page: its websocket carries 10 MB, and each message costs a moment. */
export const LARGEST = 4_000_000;
/** Milliseconds: what is answered faster may be larger, so that a slow line still shows how far it has got. */
const FAST = 300;
/** Milliseconds the next chunk may take, going by the one that was answered. */
const STEP = 1_500;
/** Bytes under way once the kernel has answered the first chunk. */
const ROOM = 4 * CHUNK;
/** Bytes under way on a Jupyter server's page, if none of them will seem overdue; so many are read at once. */
const AHEAD = 32_000_000;
/** Milliseconds a chunk may go unanswered before it is sent again; grows with the slowest answer seen. */
const TIMEOUT = 5_000;
/** Milliseconds between looks at what is overdue. */
const LOOK = 1_000;
/** Times one chunk may arrive damaged before we say so instead of trying on. */
const DAMAGES = 5;

interface Flight {
  /** Bytes; the same when it is sent again. */
  size: number;
  /** When it left; infinite while it is still being read and hashed. */
  sent: number;
  /** When the kernel first said anything after this chunk left, null while it has been silent. */
  heard: number | null;
}

interface Piece {
  bytes: ArrayBuffer;
  sha256: string | null;
}

interface Events {
  progress: (percent: number) => void;
  /** Every byte is in; the kernel reads the picture now. */
  arrived: () => void;
  /** The kernel has read it: the Frame or a Problem says what came of it. */
  read: () => void;
  failed: (sentence: string) => void;
}

/**
 * Sends one file in acknowledged chunks.
 *
 * A lost or damaged chunk is sent again: the offset says where it belongs, so twice is no harm. A kernel that says nothing at
 * all is busy with a cell: then nothing piles up, only the oldest chunk is tried again, less and less often.
 */
export class Upload {
  readonly id = unique();
  #next = 0;
  #size = CHUNK;
  #room = CHUNK;
  #arrived = 0;
  /** By offset, what was read before it is sent: chunks of this size. */
  #ahead = new Map<number, Promise<Piece>>();
  #aheadSize = 0;
  #done = new Set<number>();
  #flights = new Map<number, Flight>();
  #damages = new Map<number, number>();
  #slowest = 0;
  #probe = TIMEOUT;
  #over = false;
  #paused = false;
  #looking: ReturnType<typeof setInterval>;
  #deaf: () => void;

  constructor(
    private channel: Channel,
    private slot: Slot,
    readonly file: File,
    private events: Events,
  ) {
    this.#deaf = channel.listen((message) => {
      if (message.type === "received" && message.upload === this.id) this.#answer(message.offset, message.ok);
      else if (message.type === "uploaded" && message.upload === this.id) this.#finish(events.read);
    });
    this.#looking = setInterval(() => this.#look(), LOOK);
    this.#fill();
  }

  /** Stop sending. What the kernel already has it forgets when the next upload for this slot begins. */
  cancel(): void {
    this.#over = true;
    this.#ahead.clear();
    clearInterval(this.#looking);
    this.#deaf();
  }

  /** Nothing more is sent until `resume`; what is on its way arrives. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#fill();
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.cancel();
    tell();
  }

  #fill(): void {
    while (!this.#paused && this.#next < this.file.size && this.#underWay() + this.#size <= this.#room) {
      void this.#send(this.#next, this.#size);
      this.#next += this.#size;
    }
  }

  #underWay(): number {
    let bytes = 0;
    for (const { size } of this.#flights.values()) bytes += size;
    return bytes;
  }

  async #send(offset: number, length: number): Promise<void> {
    const flight: Flight = { size: length, sent: Number.POSITIVE_INFINITY, heard: null };
    this.#flights.set(offset, flight);
    const ahead = length === this.#aheadSize && this.#ahead.get(offset);
    this.#ahead.delete(offset);
    let piece: Piece;
    try {
      piece = await (ahead || this.#read(offset, length));
    } catch {
      this.#finish(() => this.events.failed(`${this.file.name} can no longer be read. Choose it again.`));
      return;
    }
    if (this.#over || this.#done.has(offset)) return;
    flight.sent = performance.now();
    const { name, type, size } = this.file;
    const fields = { upload: this.id, slot: this.slot, name, media_type: type, size, offset, sha256: piece.sha256 };
    // A slow line is no running cell: what is said of that waits as long as sending again.
    this.channel.send("upload", fields, { buffer: piece.bytes, acked: () => this.#news(), quiet: TIMEOUT });
    if (offset === 0) this.#readAhead();
  }

  async #read(offset: number, length: number): Promise<Piece> {
    const bytes = await this.file.slice(offset, offset + length).arrayBuffer();
    return { bytes, sha256: await hash(bytes) };
  }

  /** The rest, in the chunks that it will have if the first one is answered fast: read while that is on its way. */
  #readAhead(): void {
    const left = this.file.size - this.#next;
    if (!jupyter() || left <= 0 || left > AHEAD || this.#aheadSize) return;
    this.#aheadSize = even(left, LARGEST);
    for (let offset = this.#next; offset < this.file.size; offset += this.#aheadSize) {
      const piece = this.#read(offset, this.#aheadSize);
      piece.catch(() => {}); // said when it is to be sent
      this.#ahead.set(offset, piece);
    }
  }

  #news(): void {
    const now = performance.now();
    this.#probe = TIMEOUT;
    for (const flight of this.#flights.values()) if (flight.sent <= now) flight.heard ??= now;
  }

  #answer(offset: number, ok: boolean): void {
    this.#news();
    const flight = this.#flights.get(offset);
    if (!flight) return;
    this.#flights.delete(offset);
    const took = performance.now() - flight.sent;
    this.#slowest = Math.max(this.#slowest, took);
    this.#room = Math.max(this.#room, ROOM);
    if (!ok) return this.#damaged(offset, flight.size);
    this.#done.add(offset);
    if (took < FAST && flight.size === this.#size && jupyter()) this.#grow(took);
    if (this.#size !== this.#aheadSize) this.#ahead.clear();
    this.#arrived += Math.min(flight.size, this.file.size - offset);
    this.events.progress(Math.floor((100 * this.#arrived) / this.file.size));
    if (this.#arrived < this.file.size || this.#flights.size) return this.#fill();
    clearInterval(this.#looking);
    this.events.arrived();
  }

  /** Larger chunks for what is left, and more of them under way, by what the last one took (milliseconds). */
  #grow(took: number): void {
    const rate = this.#size / took;
    const size = even(this.file.size - this.#next, Math.min(Math.floor(rate * STEP), LARGEST));
    this.#size = Math.max(this.#size, size);
    this.#room = Math.max(this.#room, Math.min(rate * TIMEOUT, AHEAD));
  }

  #damaged(offset: number, size: number): void {
    const damages = (this.#damages.get(offset) ?? 0) + 1;
    this.#damages.set(offset, damages);
    if (damages < DAMAGES) return void this.#send(offset, size);
    this.#finish(() => this.events.failed(damaged(this.file)));
  }

  #look(): void {
    if (this.#paused) return;
    const now = performance.now();
    const timeout = Math.max(TIMEOUT, 3 * this.#slowest);
    const silent = [...this.#flights].filter(([, flight]) => flight.heard === null);
    for (const [offset, flight] of this.#flights) {
      if (flight.heard !== null && now - flight.heard >= timeout) void this.#send(offset, flight.size);
    }
    if (silent.length < this.#flights.size || !silent.length) return;
    const [offset, flight] = silent.reduce((a, b) => (a[0] < b[0] ? a : b));
    if (now - flight.sent < Math.max(timeout, this.#probe)) return;
    this.#probe = Math.min(this.#probe * 2, 30_000);
    void this.#send(offset, flight.size);
  }
}

export function damaged({ name }: File): string {
  return `${name} did not arrive intact. Choose it again.`;
}

/** Bytes of each of as few chunks of one size as have at most `most`: a small last one costs a message as well. */
function even(left: number, most: number): number {
  return Math.ceil(left / Math.max(1, Math.ceil(left / most)));
}

/** Whether a Jupyter server gave this page: it left its settings here (`PageConfig` of @jupyterlab/coreutils). */
function jupyter(): boolean {
  return !!document.getElementById("jupyter-config-data");
}

/** SHA-256 in hex; null on plain http away from localhost, where browsers have no `crypto.subtle`. */
async function hash(bytes: ArrayBuffer): Promise<string | null> {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
