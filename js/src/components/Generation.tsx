import { useState } from "preact/hooks";
import type { Entry } from "../model";
import { details, elapsed, isReady, progress } from "../status";
import type { View } from "../view";
import { Actions } from "./Actions";
import { Player } from "./Player";
import { Preview } from "./Preview";

/** One generation: its picture or video, its status in words, and what can be done. */
export function Generation({ view, entry }: { view: View; entry: Entry }) {
  const [playing, setPlaying] = useState(false);
  const done = isReady(entry);
  const failed = ["rejected", "error", "unknown"].includes(entry.status) && !entry.active; // else it is being looked up
  return (
    <li class={`kw-gen${failed ? " kw-failed" : ""}${playing && done ? " kw-playing" : ""}`}>
      {playing && done ? (
        <Player view={view} entry={entry} close={() => setPlaying(false)} />
      ) : (
        <div class={`kw-pic${done ? "" : " kw-wait"}`}>
          <Preview view={view} of={entry.key} version={done ? "poster" : ""} />
          {done && (
            <button type="button" class="kw-play" onClick={() => setPlaying(true)}>
              <span class="kw-hidden">Play</span>
              <span aria-hidden="true">▶</span>
            </button>
          )}
        </div>
      )}
      <div class="kw-about">
        <p class="kw-prompt" dir="auto" title={entry.prompt}>
          {entry.prompt}
        </p>
        <StatusLine view={view} entry={entry} failed={failed} />
      </div>
      <Actions view={view} entry={entry} />
    </li>
  );
}

function StatusLine({ view, entry, failed }: { view: View; entry: Entry; failed: boolean }) {
  const seconds = elapsed(entry, performance.now());
  const more = details(entry, seconds, view.model.get("simulated"));
  const { text, problem, hint, active } = entry;
  if (failed) {
    const told = entry.status === "unknown" || problem?.startsWith(text) ? problem : [text, problem].filter(Boolean).join(": ");
    return (
      <div class="kw-m">
        {told || text} {hint && <span class="kw-hint">{hint}</span>}
      </div>
    );
  }
  return (
    <>
      <div class="kw-m">
        <span class={entry.status === "completed" ? "kw-ok" : ""}>{text}</span>
        {more && ` · ${more}`}
      </div>
      {(problem || hint) && <div class="kw-m">{[problem, hint].filter(Boolean).join(" ")}</div>}
      {active && <Bar share={progress(seconds, entry.expected)} />}
    </>
  );
}

function Bar({ share }: { share: number | null }) {
  return (
    <div
      class={`kw-track${share === null ? " kw-unsure" : ""}`}
      role="progressbar"
      aria-label="Progress"
      aria-valuemin={0}
      aria-valuemax={100}
      {...(share === null ? {} : { "aria-valuenow": Math.round(share * 100) })}
    >
      <i style={share === null ? {} : { width: `${share * 100}%` }} />
    </div>
  );
}
