import { within } from "@testing-library/dom";
import { options } from "preact";
import { afterEach, vi } from "vitest";
import widget from "../src/index";
import type { FakeModel } from "./fake";

// The real ones: tests put clocks of their own in their place.
const pause = globalThis.setImmediate;
const now = performance.now.bind(performance);

// There is no screen: effects run without waiting for a frame, and everything is near what can be seen.
(options as { requestAnimationFrame?: (act: () => void) => void }).requestAnimationFrame = queueMicrotask;
globalThis.IntersectionObserver = class {
  constructor(private tell: (seen: { isIntersecting: boolean }[]) => void) {}
  observe(): void {
    this.tell([{ isIntersecting: true }]);
  }
  disconnect(): void {}
} as never;

const open: (() => void)[] = [];

/** Show one view of the model; closed after the test. */
export function show(model: FakeModel) {
  const el = document.createElement("div");
  document.body.append(el);
  const cleanup = widget.render({ model, el });
  const close = () => {
    cleanup();
    el.remove();
  };
  open.push(close);
  return { el, ui: within(el), close };
}

afterEach(() => {
  for (const close of open.splice(0)) close();
  vi.useRealTimers();
});

/** Let promises, hashing and redrawing happen, until this holds; at most fifteen seconds, for the machine may be busy. */
export async function until(holds: () => unknown): Promise<void> {
  const deadline = now() + 15_000;
  for (;;) {
    for (let i = 0; i < 3; i += 1) await new Promise((done) => pause(done as () => void));
    if (vi.isFakeTimers()) await vi.advanceTimersByTimeAsync(0);
    const held = holds();
    if (held) return;
    if (now() > deadline) throw new Error(`never held: ${holds}`);
  }
}

/** Let so many milliseconds pass on the test's clock, and everything that follows from them. */
export async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
  await until(() => true);
}

export function type(field: HTMLElement, text: string): void {
  (field as HTMLInputElement).value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Pick a file with the file input, as a person or Playwright does. */
export function choose(input: HTMLElement, file: File): void {
  Object.defineProperty(input, "files", { value: [file], configurable: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/** A file of this many bytes, no two chunks alike. */
export function picture(size: number, name = "cat.jpg", media = "image/jpeg"): File {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i += 1) bytes[i] = (i * 31 + (i >> 9)) & 255;
  return new File([bytes], name, { type: media });
}

/** A drop or paste carrying these files and texts. */
export function carrying(kind: "drop" | "paste" | "dragover", files: File[], texts: Record<string, string> = {}): Event {
  const event = new Event(kind, { bubbles: true, cancelable: true });
  const data = { files, types: files.length ? ["Files"] : Object.keys(texts), getData: (type: string) => texts[type] ?? "" };
  Object.defineProperty(event, kind === "paste" ? "clipboardData" : "dataTransfer", { value: data });
  return event;
}
