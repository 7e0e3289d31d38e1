import type { Entry } from "./model";

/** How far a bar may go before the video is there: a full bar that isn't done is a lie. */
const NEARLY = 0.97;

/** The vendor's own, which goes without saying. */
const CFG_SCALE = 0.5;

/** Whether there is a video to be played. */
export function isReady({ status, video }: Entry): boolean {
  return status === "completed" && !!video;
}

/** `1:12`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

/** What is left, in words: `about 2 min left`, `about 20 s left`, past `late` that it is; null where nothing is known. */
export function left(elapsed: number, expected: number | null, late: number | null): string | null {
  if (!expected) return null;
  if (late && elapsed > late) return "longer than usual";
  const seconds = expected - elapsed;
  if (seconds > 55) return `about ${Math.round(seconds / 60)} min left`;
  return seconds > 5 ? `about ${Math.round(seconds / 5) * 5} s left` : "a few seconds left";
}

/** Share done, 0 to `NEARLY`; null where nothing is known. */
export function progress(elapsed: number, expected: number | null): number | null {
  return expected ? Math.min(elapsed / expected, NEARLY) : null;
}

/** What follows the status word, e.g. `1:12 · about 2 min left` or `5 s · CFG 0.8 · take 2 · 2:58 · $0.66`. */
export function details(entry: Entry, elapsed: number, simulator: boolean): string {
  const parts: (string | null | false)[] = entry.active
    ? [clock(elapsed), left(elapsed, entry.expected, entry.late)]
    : entry.status === "completed"
      ? [
          `${entry.duration} s`,
          (entry.cfg_scale ?? CFG_SCALE) !== CFG_SCALE && `CFG ${entry.cfg_scale}`,
          entry.camera,
          (entry.take ?? 1) > 1 && `take ${entry.take}`,
          elapsed > 0 && clock(elapsed),
          entry.cost,
          entry.simulated && !simulator && "simulated",
        ]
      : [];
  return parts.filter(Boolean).join(" · ");
}

const written = new Map<string, { elapsed: number; status: string; at: number }>();

/** Seconds so far: what the kernel wrote, plus what has passed since this page first saw it. `now` in ms, monotonic. */
export function elapsed(entry: Entry, now: number): number {
  if (!entry.active) return entry.elapsed;
  let seen = written.get(entry.key);
  if (!seen || seen.elapsed !== entry.elapsed || seen.status !== entry.status) {
    seen = { elapsed: entry.elapsed, status: entry.status, at: now };
    written.set(entry.key, seen);
  }
  return seen.elapsed + (now - seen.at) / 1000;
}
