import type { Bytes, FromKernel, Message, Model, ToKernel } from "./model";

/** Milliseconds without an `ack` after which a person is told that a cell is running (docs/architecture.md). */
const QUIET = 500;
/** Milliseconds an acknowledged question may stay unanswered before it is asked again. */
const PATIENCE = 10_000;

let counter = 0;

/** A string no other view, tab or session uses. `crypto.randomUUID` is missing on plain http; this is not. */
export function unique(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `${random[0]!.toString(36)}${random[1]!.toString(36)}-${++counter}`;
}

/** Runs when the kernel has a message, `itself` unless what it has is one that was sent later. */
type Acked = (itself: boolean) => void;
type Listener = (message: Message, buffers: Bytes[]) => void;

/**
 * One view's line to the kernel. All views of a model hear every message, so each keeps to the ids it sent itself.
 */
export class Channel {
  /** Whether something a person did has gone unacknowledged for longer than it should. */
  waiting = false;
  /** Whether the host refused to send: the kernel, or the widget there, is gone. */
  gone = false;
  #listeners = new Set<Listener>();
  /** In the order of sending. */
  #unheard = new Map<string, { timer: ReturnType<typeof setTimeout>; late: boolean; acked: Acked }>();

  constructor(
    private model: Model,
    private changed: () => void,
  ) {
    model.on("msg:custom", this.#hear);
  }

  /** Send one message. For `quiet` milliseconds without an acknowledgement nothing is said of it. */
  send<K extends keyof ToKernel>(
    type: K,
    fields: ToKernel[K],
    { buffer, acked = () => {}, quiet = QUIET }: { buffer?: ArrayBuffer; acked?: Acked; quiet?: number } = {},
  ): string {
    const id = unique();
    const timer = setTimeout(() => {
      entry.late = true;
      this.#tell();
    }, quiet);
    const entry = { timer, late: false, acked };
    this.#unheard.set(id, entry);
    try {
      this.model.send({ type, id, ...fields }, undefined, buffer && [buffer]);
      this.#turn(false);
    } catch {
      clearTimeout(timer); // JupyterLab throws "Cannot send" once a kernel was restarted: nobody will acknowledge it
      this.#unheard.delete(id);
      this.#turn(true);
    }
    return id;
  }

  /** Ask and get the answer of that type. Asks again if the kernel heard but the answer was lost; null after three times. */
  ask<K extends "preview" | "video" | "source">(
    type: K,
    fields: ToKernel[K],
    quiet = QUIET,
  ): Promise<{ message: FromKernel[K]; buffer: Bytes | undefined } | null> {
    return new Promise((resolve) => {
      const ids = new Set<string>();
      let timer: ReturnType<typeof setTimeout>;
      const done = (answer: { message: FromKernel[K]; buffer: Bytes | undefined } | null) => {
        clearTimeout(timer);
        stop();
        resolve(answer);
      };
      const stop = this.listen((message, buffers) => {
        if (message.type === type && ids.has(message.re)) {
          done({ message: message as unknown as FromKernel[K], buffer: buffers[0] });
        }
      });
      const attempt = () => {
        if (ids.size === 3) return done(null);
        const acked = () => {
          clearTimeout(timer);
          timer = setTimeout(attempt, PATIENCE);
        };
        ids.add(this.send(type, fields, { quiet, acked }));
        if (this.gone) done(null);
      };
      attempt();
    });
  }

  /** Hear everything the kernel says; returns how to stop. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.model.off("msg:custom", this.#hear);
    for (const { timer } of this.#unheard.values()) clearTimeout(timer);
    this.#unheard.clear();
    this.#listeners.clear();
  }

  #hear = (message: Message, buffers: Bytes[] = []): void => {
    const { re = "" } = message as { re?: string };
    if (this.#unheard.has(re)) {
      // What was sent before is heard as well, or lost with a connection: nobody waits for it any longer.
      for (const [id, { timer, acked }] of this.#unheard) {
        clearTimeout(timer);
        this.#unheard.delete(id);
        acked(id === re);
        if (id === re) break;
      }
      this.#tell();
    }
    for (const listener of [...this.#listeners]) listener(message, buffers);
  };

  #turn(gone: boolean): void {
    if (gone === this.gone) return;
    this.gone = gone;
    this.changed();
  }

  #tell(): void {
    const waiting = [...this.#unheard.values()].some(({ late }) => late);
    if (waiting === this.waiting) return;
    this.waiting = waiting;
    this.changed();
  }
}
