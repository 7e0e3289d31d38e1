import type { Channel } from "./channel";
import type { Media } from "./media";
import type { Model, Slot, ToKernel } from "./model";
import { LARGE, shrink } from "./shrink";
import { Upload, damaged } from "./upload";

/** Milliseconds after which a picture that is in and was not read has failed: the kernel died over it, or lost a part. */
const READING = 60_000;

/** Milliseconds a large file is sent before it is drawn: 24 megapixels take a browser as long to draw as to send. */
const BARE = 2_000;

/** Bytes of the largest file the kernel takes (LARGEST_UPLOAD in kling_widget/uploads.py). */
const MOST = 200_000_000;

/** Why this file is not even sent, in a sentence; null if it is. */
function refusal({ name, size }: File): string | null {
  if (!size) return `${name} is empty. Choose another picture.`;
  if (size <= MOST) return null;
  return `${name} is too large: ${Math.round(size / 1e6)} MB, and ${MOST / 1e6} MB is the most. Choose another picture.`;
}

/** One picture slot: what is on its way to the kernel, and what to show meanwhile. */
export class Picture {
  phase: "idle" | "sending" | "reading" = "idle";
  percent = 0;
  /** The picked file itself, shown before the kernel has it. */
  local: string | null = null;
  /** Whether the picture itself is not drawn yet. */
  bare = false;
  /** A problem found on this side. */
  problem: string | null = null;
  /** Whether a smaller copy is offered. */
  large = false;
  #upload: Upload | null = null;
  #localKey: string | null = null;
  #file: File | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly slot: Slot,
    private model: Model,
    private channel: Channel,
    private media: Media,
    private changed: () => void,
    private refused: () => void,
  ) {
    model.on(`change:${slot}`, this.#frameChanged);
    model.on("change:problems", this.#problemsChanged);
  }

  get frame() {
    return this.model.get(this.slot);
  }

  /** Send this file; whatever was on its way before is dropped. */
  pick(file: File): void {
    if (this.#holds(file)) return; // the kernel has it, and would have no news to tell
    const problem = refusal(file);
    if (problem) return this.#fail(problem);
    this.#stop();
    this.#start(file);
    this.changed();
  }

  url(url: string): void {
    this.#give("url", { slot: this.slot, url });
  }

  remove(): void {
    this.#give("remove", { slot: this.slot });
  }

  /** Send a smaller copy instead of what is under way. */
  async smaller(): Promise<void> {
    const upload = this.#upload;
    this.large = false;
    this.changed();
    upload?.pause(); // or a slow browser is overtaken by what nobody wants any more
    const copy = upload && (await shrink(upload.file));
    if (this.#upload !== upload || this.phase !== "sending") return; // done, removed or replaced meanwhile
    if (copy) this.pick(copy);
    else {
      this.problem = "This browser cannot read the picture, so the original is sent.";
      upload?.resume();
    }
    this.changed();
  }

  close(): void {
    this.#stop();
    this.model.off(`change:${this.slot}`, this.#frameChanged);
    this.model.off("change:problems", this.#problemsChanged);
  }

  /** Something else than what may be on its way. */
  #give<K extends "url" | "remove">(type: K, fields: ToKernel[K]): void {
    this.channel.send(type, fields);
    this.#fail(null);
  }

  /** What was on its way does not come, and neither does what was to be made of it. */
  #fail(problem: string | null): void {
    this.#stop();
    this.refused();
    this.problem = problem;
    this.changed();
  }

  #holds(file: File): boolean {
    const held = this.phase === "idle" && this.frame && this.frame.key === this.#localKey && this.#file;
    return !!held && (["name", "size", "type", "lastModified"] as const).every((fact) => held[fact] === file[fact]);
  }

  #start(file: File): void {
    this.#file = file;
    this.local = this.media.url(file);
    this.phase = "sending";
    this.large = file.size > LARGE;
    this.bare = this.large;
    if (this.bare) this.#timer = setTimeout(() => this.#draw(), BARE);
    this.#upload = new Upload(this.channel, this.slot, file, {
      progress: (percent) => {
        this.percent = percent;
        this.changed();
      },
      arrived: () => {
        this.phase = "reading";
        this.large = false;
        this.bare = false;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#fail(damaged(file)), READING);
        this.changed();
      },
      read: () => this.#settle(),
      failed: (sentence) => this.#fail(sentence),
    });
  }

  /** Back to what the kernel says. */
  #stop(): void {
    clearTimeout(this.#timer);
    this.#upload?.cancel();
    this.#upload = this.#file = null;
    if (this.local) this.media.drop(this.local);
    this.local = this.#localKey = this.problem = null;
    this.phase = "idle";
    this.percent = 0;
    this.large = this.bare = false;
  }

  #draw(): void {
    this.bare = false;
    this.changed();
  }

  #settle(): void {
    clearTimeout(this.#timer);
    if (this.frame && !this.model.get("problems").some(({ field, anyway }) => field === this.slot && !anyway)) {
      this.#upload?.cancel();
      this.#upload = null;
      this.phase = "idle";
      this.#localKey = this.frame.key;
      this.changed();
    } else this.#fail(null);
  }

  #frameChanged = (): void => {
    if (this.phase === "reading" && this.frame) this.#settle();
    else if (this.phase === "idle" && this.local && this.frame?.key !== this.#localKey) {
      this.#stop();
      this.changed();
    }
  };

  #problemsChanged = (): void => {
    const mine = this.model.get("problems").some(({ field }) => field === this.slot);
    if (this.phase === "reading" && mine) this.#settle();
  };
}
