import { useEffect, useRef } from "preact/hooks";
import type { Entry } from "../model";
import { details } from "../status";
import type { View } from "../view";
import { shape, useSource } from "./Player";

/** Seconds two videos may be apart: less would seek all the time, for `timeupdate` comes four times a second. */
const APART = 0.15;

function play(video: HTMLVideoElement): void {
  video.play().catch(() => {}); // a pause came before it began
}

/** Let a video go where the one that leads is; a shorter one rests on its last picture until that begins again. */
function follow(lead: HTMLVideoElement, other: HTMLVideoElement): void {
  const end = Number.isFinite(other.duration) ? other.duration : 0;
  const time = Math.min(lead.currentTime, end);
  if (Math.abs(other.currentTime - time) > APART) other.currentTime = time;
  other.playbackRate = lead.playbackRate;
  if (lead.paused) other.pause();
  else if (other.paused && time < end - APART) play(other);
}

/** The chosen videos beside each other and in step. The longest leads, and has the controls. */
export function Comparison({ view }: { view: View }) {
  const { compared } = view;
  const place = useRef<HTMLElement>(null);
  const open = compared.length > 1;
  useEffect(() => {
    if (open) place.current?.scrollIntoView({ block: "nearest" });
  }, [open, compared.length]);
  if (!open) return null;
  const leader = compared.reduce((longest, entry) => (entry.duration > longest.duration ? entry : longest));
  // As they are in the page now: a video that another one replaces as the leader still tells that it was paused.
  const lead = () => place.current?.querySelector<HTMLVideoElement>("video[controls]");
  const step = () => {
    const first = lead();
    if (!first) return;
    for (const video of place.current!.querySelectorAll("video")) if (video !== first) follow(first, video);
  };
  const toggle = () => {
    const video = lead();
    if (video?.paused) play(video);
    else video?.pause();
  };
  const close = () => {
    // Or the focus would go to the page, with the button that has it: one that chose stands nearest.
    const chosen = place.current?.parentElement?.querySelector<HTMLElement>('[aria-pressed="true"]');
    view.compare(null);
    chosen?.focus();
  };
  return (
    <section ref={place} class="kw-card kw-compared" aria-label="Comparison">
      <div class="kw-inline">
        <b>Comparing {compared.length}</b>
        <button type="button" class="kw-link" onClick={close}>
          Close<span class="kw-hidden"> the comparison</span>
        </button>
      </div>
      <div class="kw-beside">
        {compared.map((entry) => (
          <figure key={entry.key}>
            <Beside view={view} entry={entry} leads={entry === leader} step={step} toggle={toggle} />
            <figcaption>
              <span title={entry.prompt}>{entry.prompt}</span>
              <small>{details(entry, entry.elapsed, view.model.get("simulated"))}</small>
            </figcaption>
          </figure>
        ))}
      </div>
    </section>
  );
}

function Beside(props: {
  view: View;
  entry: Entry;
  leads: boolean;
  step: () => void;
  toggle: () => void;
}) {
  const { view, entry, leads, step, toggle } = props;
  const { source, line, onError } = useSource(view, entry);
  const own = leads
    ? { controls: true, loop: true, autoplay: true, onPlay: step, onPause: step, onSeeking: step, onTimeUpdate: step, onRateChange: step }
    : { onLoadedData: step, onClick: toggle };
  return (
    <div class="kw-pic" style={shape(entry)}>
      {source && (
        <video key={String(leads)} src={source} aria-label={entry.prompt} muted playsInline onError={onError} {...own} />
      )}
      {line && <span class="kw-name">{line}</span>}
    </div>
  );
}
