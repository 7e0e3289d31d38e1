import type { Bytes, Entry, Frame, FromKernel, Message, Model, Slot, ToKernel, Traits } from "../src/model";

export type Sent = {
  [K in keyof ToKernel]: { type: K; id: string; buffer: ArrayBuffer | undefined } & ToKernel[K];
}[keyof ToKernel];
export type SentOf<K extends keyof ToKernel> = Extract<Sent, { type: K }>;

export const FORM: Traits = {
  prompt: "",
  negative_prompt: "",
  duration: 5,
  cfg_scale: 0.5,
  camera_control: null,
  first_frame: null,
  last_frame: null,
  entries: [],
  problems: [],
  simulated: false,
  estimate: "about 3 min",
};

/** The kernel as one view sees it: traits that tell of changes, messages kept in order, answers on demand. */
export class FakeModel implements Model {
  sent: Sent[] = [];
  saves = 0;
  /** What the kernel does by itself with a message; default: acknowledge it. */
  kernel: (message: Sent) => void = (message) => this.hear("ack", { re: message.id });
  /** What a host makes of a buffer. */
  handedOver: (buffer: ArrayBuffer) => Bytes = (buffer) => new DataView(buffer);
  widget_manager?: { resolveUrl?: (url: string) => Promise<string> };
  #traits: Traits;
  #listeners = new Map<string, Set<(...args: never[]) => void>>();

  constructor(traits: Partial<Traits> = {}) {
    this.#traits = { ...FORM, ...traits };
  }

  get<K extends keyof Traits>(name: K): Traits[K] {
    return this.#traits[name];
  }

  /** Like Backbone: tells only when the value is another one. */
  set<K extends keyof Traits>(name: K, value: Traits[K]): void {
    if (JSON.stringify(value) === JSON.stringify(this.#traits[name])) return;
    this.#traits[name] = value;
    for (const listener of this.#listeners.get(`change:${name}`) ?? []) listener();
  }

  save_changes(): void {
    this.saves += 1;
  }

  send(content: object, _callbacks?: undefined, buffers?: ArrayBuffer[]): void {
    const message = { ...content, buffer: buffers?.[0] } as Sent;
    this.sent.push(message);
    queueMicrotask(() => this.kernel(message)); // never within the call, as over a comm
  }

  on(event: string, callback: (...args: never[]) => void): void {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event)!.add(callback);
  }

  off(event: string, callback: (...args: never[]) => void): void {
    this.#listeners.get(event)?.delete(callback);
  }

  /** How many callbacks are still attached. */
  get attached(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }

  /** The kernel says something; every view hears it. */
  hear<K extends keyof FromKernel>(type: K, fields: FromKernel[K], buffer?: ArrayBuffer): void {
    const message = { type, ...fields } as unknown as Message;
    const listeners = this.#listeners.get("msg:custom") ?? new Set();
    for (const listener of [...listeners]) {
      (listener as (message: Message, buffers: Bytes[]) => void)(message, buffer ? [this.handedOver(buffer)] : []);
    }
  }

  of<K extends keyof ToKernel>(type: K): SentOf<K>[] {
    return this.sent.filter((message): message is SentOf<K> => message.type === type);
  }
}

export function frame(changes: Partial<Frame> = {}): Frame {
  return {
    key: "sha256:1",
    name: "rocket.jpg",
    width: 640,
    height: 427,
    size: 112_525,
    media_type: "image/jpeg",
    url: null,
    changes: [],
    warnings: [],
    ...changes,
  };
}

let entries = 0;

export function entry(changes: Partial<Entry> = {}): Entry {
  return {
    key: `entry-${++entries}`,
    generation_id: "bA23_2Dk4Yh6RWT5BluZu",
    status: "generating",
    text: "Generating",
    prompt: "The rocket clears the tower",
    duration: 5,
    cfg_scale: null,
    camera: null,
    take: 1,
    started: 1_760_000_000,
    elapsed: 72,
    expected: 190,
    late: 230,
    active: true,
    simulated: false,
    cost: null,
    problem: null,
    hint: null,
    video: null,
    ...changes,
  };
}

export function ready(changes: Partial<Entry> = {}): Entry {
  return entry({
    status: "completed",
    text: "Ready",
    elapsed: 178,
    active: false,
    video: { url: "kling_videos/videos/a.mp4", path: "kling_videos/videos/a.mp4", width: 64, height: 48, size: 9, duration: 5 },
    ...changes,
  });
}

/** A kernel that takes uploads as widget.py does, and keeps the bytes. */
export class Receiver {
  bytes = new Map<string, Map<number, ArrayBuffer>>();

  constructor(private model: FakeModel) {}

  take(message: SentOf<"upload">): void {
    const { id: re, upload, offset, buffer } = message;
    const pieces = this.bytes.get(upload) ?? new Map<number, ArrayBuffer>();
    this.bytes.set(upload, pieces.set(offset, buffer!));
    const received = [...pieces.values()].reduce((sum, piece) => sum + piece.byteLength, 0);
    this.model.hear("ack", { re });
    this.model.hear("received", { re, upload, received, offset, ok: true });
  }

  /** The file as it arrived. */
  file(upload: string): Uint8Array {
    const pieces = [...(this.bytes.get(upload) ?? [])].sort(([a], [b]) => a - b).map(([, piece]) => new Uint8Array(piece));
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

export type { Slot };
