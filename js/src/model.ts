/**
 * What this side shares with the kernel: state is a trait, an act is a message.
 * The same tables stand in docs/architecture.md and in kling_widget/widget.py; tests/unit/test_contract.py compares all three.
 */

export type Slot = "first_frame" | "last_frame";
export type Field = Slot | "prompt" | "negative_prompt" | "duration" | "cfg_scale" | "camera_control" | "key" | "form";
export type Status =
  | "submitting"
  | "queued"
  | "generating"
  | "downloading"
  | "completed"
  | "rejected"
  | "unknown"
  | "error"
  | "stopped";

/** A picture in a slot; measures in pixels and bytes, all null for a URL, which nobody has fetched. */
export interface Frame {
  key: string;
  name: string;
  width: number | null;
  height: number | null;
  size: number | null;
  media_type: string | null;
  url?: string | null;
  changes: string[];
  warnings: string[];
}

/**
 * The saved video; `url` is relative to the notebook, null where the host can't serve files. `duration` in seconds. What
 * only its file can tell is null while that is not on the kernel's machine.
 */
export interface SavedVideo {
  url: string | null;
  path: string;
  width: number | null;
  height: number | null;
  size: number | null;
  duration: number | null;
}

/**
 * One generation; times in seconds. `elapsed` is as of the moment the kernel wrote the entry; half of all are ready after
 * `expected`, nine in ten after `late`.
 */
export interface Entry {
  key: string;
  generation_id: string | null;
  status: Status;
  text: string;
  prompt: string;
  duration: number;
  /** 0 to 1; null: the vendor's own. */
  cfg_scale: number | null;
  /** The camera in words, `zoom 5`; null where nothing was said of it. */
  camera: string | null;
  take: number | null;
  started: number;
  elapsed: number;
  expected: number | null;
  late: number | null;
  active: boolean;
  simulated: boolean;
  /** What was charged, `$0.66`; null while it isn't known, and on the simulator. */
  cost: string | null;
  problem: string | null;
  hint: string | null;
  video: SavedVideo | null;
}

/** A sentence beside the field it is about; `anyway`: the person may send the form all the same. */
export interface Problem {
  field: Field;
  text: string;
  anyway?: boolean;
}

/** A movement of the camera as the API has it; `config` goes with `simple`, each amount -10 to 10. */
export interface Camera {
  type: string;
  config?: Record<string, number>;
}

/** The text fields and controls a person fills in, written by both sides. */
export interface Form {
  prompt: string;
  negative_prompt: string;
  duration: number;
  cfg_scale: number;
  camera_control: Camera | null;
}

export interface Traits {
  prompt: string;
  negative_prompt: string;
  duration: number;
  cfg_scale: number;
  camera_control: Camera | null;
  first_frame: Frame | null;
  last_frame: Frame | null;
  entries: Entry[];
  problems: Problem[];
  simulated: boolean;
  estimate: string;
}

/** Front end → kernel: the fields beside `type` and `id`. */
export interface ToKernel {
  /** `again`: the id of this view's last press, if that had the same form and may not have been heard. */
  generate: { form: Form; anyway: boolean; again: string | null };
  upload: {
    upload: string;
    slot: Slot;
    name: string;
    media_type: string;
    size: number;
    offset: number;
    sha256: string | null;
  };
  url: { slot: Slot; url: string };
  remove: { slot: Slot };
  /** In the buffer, for kernels log what messages say at DEBUG, and never their buffers. */
  key: Record<never, never>;
  preview: { key: string };
  video: { key: string; offset: number };
  stop: { key: string };
  watch: { key: string };
  check: { key: string };
  resubmit: { key: string };
  balance: Record<never, never>;
  use: { key: string };
  continue: { key: string };
  source: { key: string };
}

/** Kernel → front end: the fields beside `type`. */
export interface FromKernel {
  ack: { re: string };
  received: { re: string; upload: string; received: number; offset: number; ok: boolean };
  uploaded: { upload: string; slot: Slot };
  preview: { re: string; key: string; media_type: string | null };
  video: { re: string; key: string; offset: number; size: number };
  source: { re: string; key: string; text: string };
}

export type Message = { [K in keyof FromKernel]: { type: K } & FromKernel[K] }[keyof FromKernel];

/** A buffer as hosts hand it over: DataView in Jupyter and VS Code, Uint8Array in Colab, an ArrayBuffer in others. */
export type Bytes = ArrayBufferView<ArrayBuffer> | ArrayBuffer;

/** The part of anywidget's model that we use, typed with our traits. */
export interface Model {
  get<K extends keyof Traits>(name: K): Traits[K];
  set<K extends keyof Traits>(name: K, value: Traits[K]): void;
  save_changes(): void;
  send(content: object, callbacks?: undefined, buffers?: ArrayBuffer[]): void;
  on(event: "msg:custom", callback: (message: Message, buffers: Bytes[]) => void): void;
  on(event: `change:${keyof Traits}`, callback: () => void): void;
  off(event: "msg:custom", callback: (message: Message, buffers: Bytes[]) => void): void;
  off(event: `change:${keyof Traits}`, callback: () => void): void;
  /** ipywidgets' manager. Only where the notebook's files are served does `resolveUrl` lead to one: Colab's gives back what it got. */
  widget_manager?: { resolveUrl?: (url: string) => Promise<string> };
}
