import { useState } from "preact/hooks";
import { safe } from "../media";
import type { Slot } from "../model";
import type { View } from "../view";
import { Line } from "./Line";
import { faulty } from "./Problems";
import { Preview } from "./Preview";

/** The picture among what was pasted or dropped. */
export function imageIn(data: DataTransfer | null | undefined): File | undefined {
  return [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
}

interface Props {
  view: View;
  slot: Slot;
  label: string;
}

/** A place for one picture: choose, drop, paste or URL; preview; remove. */
export function PictureSlot({ view, slot, label }: Props) {
  const [hot, setHot] = useState(false);
  const [typing, setTyping] = useState(false);
  const picture = view.pictures[slot];
  const full = !!picture.local || !!picture.frame;
  const id = `${view.id}-${slot}`;

  const drop = (event: DragEvent) => {
    event.preventDefault();
    event.stopPropagation();
    setHot(false);
    const file = event.dataTransfer?.files[0];
    const url = event.dataTransfer?.getData("text/uri-list").split("\n")[0]?.trim();
    if (file) picture.pick(file);
    else if (url) picture.url(url);
  };
  const hover = (event: DragEvent) => {
    event.preventDefault();
    setHot(true);
  };

  return (
    <div
      class={`kw-slot${full ? " kw-full" : ""}${hot ? " kw-hot" : ""}`}
      data-slot={slot}
      onDragEnter={hover}
      onDragOver={hover}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setHot(false);
      }}
      onDrop={drop}
    >
      {full && <SlotPreview view={view} slot={slot} />}
      <input
        id={id}
        class="kw-file"
        type="file"
        accept="image/*,.heic,.heif"
        title=""
        {...faulty(view, slot)}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) picture.pick(file);
          event.currentTarget.value = ""; // the same file may be chosen again
        }}
      />
      {full ? (
        <Full view={view} slot={slot} label={label} />
      ) : typing ? (
        <div class="kw-empty">
          <label for={id}>{label}</label>
          <Line
            type="url"
            aria-label="Picture URL"
            placeholder="https://…"
            onBlur={(event) => event.currentTarget.value || setTyping(false)}
            label="Use"
            close={() => setTyping(false)}
            use={(url) => {
              picture.url(url); // unfetched
              setTyping(false);
            }}
          />
        </div>
      ) : (
        <div class="kw-empty">
          <label for={id}>{label}</label>
          {slot === "last_frame" && <small>optional</small>}
          <small class="kw-how">
            <span class="kw-link">Choose</span>, drop, paste or{" "}
            <button type="button" class="kw-link" onClick={() => setTyping(true)}>
              URL
            </button>
          </small>
        </div>
      )}
    </div>
  );
}

/** What lies over a picture: its label, its size, how far it has got, and the way out. */
function Full({ view, slot, label }: Props) {
  const picture = view.pictures[slot];
  const { frame, phase, percent } = picture;
  const size = frame?.width && frame.height ? `${frame.width} × ${frame.height}` : null;
  return (
    <>
      <label class="kw-tag" for={`${view.id}-${slot}`}>
        {label}
      </label>
      <button type="button" class="kw-x" onClick={() => picture.remove()}>
        <span class="kw-hidden">Remove {label.toLowerCase()}</span>
        <span aria-hidden="true">✕</span>
      </button>
      {phase === "idle" ? (
        size && <span class="kw-tag kw-low">{size}</span>
      ) : (
        <>
          {picture.large && (
            <button type="button" class="kw-tag kw-smaller" onClick={() => void picture.smaller()}>
              Send a smaller copy
            </button>
          )}
          <span class="kw-tag kw-low">{phase === "sending" ? `${percent} %` : "Reading…"}</span>
          <progress class="kw-bar" aria-label="Upload" max={100} value={phase === "sending" ? percent : 100} />
        </>
      )}
    </>
  );
}

function SlotPreview({ view, slot }: { view: View; slot: Slot }) {
  const [undecoded, setUndecoded] = useState<string | null>(null);
  const { local, bare, frame, phase } = view.pictures[slot];
  if (bare) return null;
  if (local && local !== undecoded) return <img src={local} alt="" onError={() => setUndecoded(local)} />;
  if (!frame || phase !== "idle") return null; // e.g. HEIC: the kernel's preview follows
  if (frame.url) {
    const url = safe(frame.url);
    return (
      <>
        <span class="kw-name">{frame.url}</span>
        {url && <img src={url} alt="" referrerpolicy="no-referrer" onError={(event) => event.currentTarget.remove()} />}
      </>
    );
  }
  return <Preview key={frame.key} view={view} of={frame.key} name={frame.name} />;
}

function sentences(texts: string[]): string {
  return texts.map((text) => text.replace(/\.?$/, ".")).join(" ");
}

/** What was changed about the picture, and what may go wrong with it. */
export function Notes({ view, slot, label }: Props) {
  const { frame, phase } = view.pictures[slot];
  if (!frame || phase !== "idle") return null;
  const problems = view.problems(slot).map(({ text }) => text);
  const warnings = frame.warnings.filter((warning) => !problems.some((problem) => problem.includes(warning)));
  if (!frame.changes.length && !warnings.length) return null;
  return (
    <p class="kw-note">
      {label}: {sentences(frame.changes)}
      {warnings.length > 0 && <span class="kw-warn"> {sentences(warnings)}</span>}
    </p>
  );
}
