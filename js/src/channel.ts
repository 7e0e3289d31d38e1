import type { Bytes, FromKernel, Message, Model, ToKernel } from "./model";

/** Milliseconds without an `ack` after which a person is told that the kernel is busy (docs/architecture.md). */
const QUIET = 500;
/** Milliseconds an acknowledged question may stay unanswered before it is asked again. */
const PATIENCE = 10_000;

let counter = 0;

/** A string no other view, tab or session uses. `crypto.randomUUID` is missing on plain http; this is not. */
export function unique(): string {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `${random[0]!.toString(36)}${random[1]!.toString(36)}-${++counter}`;
}

type Listener = (message: Message, buffers: Bytes[]) => void;

/**
 * One view's line to the kernel. All views of a model hear every message, so each keeps to the ids it sent itself.
 */
export class Channel {
  /** Whether something a person did has gone unacknowledged for more than `QUIET` ms. */
  waiting = false;
  /** Whether the host refused to send: the kernel, or the widget there, is gone. */
  gone = false;
  #listeners = new Set<Listener>();
  #unheard = new Map<string, { timer: ReturnType<typeof setTimeout>; late: boolean; acked: () => void }>();

  constructor(
    private model: Model,
    private changed: () => void,
  ) {
    model.on("msg:custom", this.#hear);
  }

  /** Send one message; `acked` runs when the kernel has it. Background questions are `silent`: nobody waits for them. */
  send<K extends keyof ToKernel>(
    type: K,
    fields: ToKernel[K],
    { buffer, acked = () => {}, silent = false }: { buffer?: ArrayBuffer; acked?: () => void; silent?: boolean } = {},
  ): string {
    const id = unique();
    const timer = setTimeout(() => {
      const entry = this.#unheard.get(id);
      if (entry && !silent) entry.late = true;
      this.#tell();
    }, QUIET);
    this.#unheard.set(id, { timer, late: false, acked });
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
    silent = false,
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
        ids.add(this.send(type, fields, { silent, acked }));
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
    const entry = "re" in message ? this.#unheard.get(message.re) : undefined;
    if (entry && "re" in message) {
      clearTimeout(entry.timer);
      this.#unheard.delete(message.re);
      entry.acked();
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
