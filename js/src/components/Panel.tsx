import { useEffect, useReducer, useRef } from "preact/hooks";
import type { Slot } from "../model";
import type { View } from "../view";
import { Banner } from "./Banner";
import { Comparison } from "./Comparison";
import { Controls } from "./Controls";
import { Generations } from "./Generations";
import { Go } from "./Go";
import { Notes, PictureSlot, imageIn } from "./PictureSlot";
import { Problems } from "./Problems";

const SLOTS: [Slot, string][] = [
  ["first_frame", "First frame"],
  ["last_frame", "Last frame"],
];

/** The whole widget: pictures, prompt, two controls, one button, and what came of it. */
export function Panel({ view }: { view: View }) {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const root = useRef<HTMLDivElement>(null);
  view.redraw = redraw as () => void;
  useEffect(redraw as () => void, []); // what changed between the first drawing and now
  useTicking(view, redraw as () => void);

  const paste = (event: ClipboardEvent) => {
    const file = imageIn(event.clipboardData);
    const target = event.target as Element; // where the focus is
    const typing = target.matches("textarea, input:not([type=file], [type=radio], [type=range])");
    if (!file || (typing && event.clipboardData?.getData("text/plain"))) return;
    event.preventDefault();
    const pointed = target.closest("[data-slot]") ?? root.current?.querySelector("[data-slot]:hover");
    view.place(file, pointed?.getAttribute("data-slot") as Slot | undefined);
  };
  /** A held Enter is one press: buttons hear each of its repeats as another one, and each may be paid. */
  const once = (event: KeyboardEvent) => {
    if (event.repeat && event.key === "Enter" && !(event.target as HTMLTextAreaElement).rows) event.preventDefault();
  };
  const over = (event: DragEvent) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  };
  const drop = (event: DragEvent) => {
    event.stopPropagation();
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault(); // else the browser leaves the notebook to show the file
    view.place(file);
  };

  return (
    <div
      ref={root}
      class="kling-widget"
      tabIndex={-1}
      data-lm-suppress-shortcuts="true"
      onKeyDownCapture={once}
      onKeyDown={(event) => event.stopPropagation()}
      onPaste={paste}
      onDragOver={over}
      onDrop={drop}
    >
      <div class="kw-card">
        <Banner view={view} />
        <div class="kw-ask">
          <div>
            <div class="kw-frames">
              {SLOTS.map(([slot, label]) => (
                <PictureSlot key={slot} view={view} slot={slot} label={label} />
              ))}
            </div>
            {SLOTS.map(([slot, label]) => (
              <div key={slot}>
                <Notes view={view} slot={slot} label={label} />
                <Problems view={view} field={slot} />
              </div>
            ))}
          </div>
          <Controls view={view} />
        </div>
        <Go view={view} />
      </div>
      <Comparison view={view} />
      <Generations view={view} />
      <div class="kw-hidden" aria-live="polite">
        {view.news}
      </div>
    </div>
  );
}

/** Redraw once a second while something is being made. */
function useTicking(view: View, redraw: () => void): void {
  const active = view.entries.some((entry) => entry.active);
  useEffect(() => {
    if (!active) return;
    const timer = setInterval(redraw, 1000);
    return () => clearInterval(timer);
  }, [active]);
}
