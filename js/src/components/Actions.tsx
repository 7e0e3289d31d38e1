import { useEffect, useRef, useState } from "preact/hooks";
import type { Entry } from "../model";
import { isReady } from "../status";
import type { View } from "../view";

/** Milliseconds before the second press of "Submit again" counts: the second half of a double click is not a decision. */
const THINK = 700;

type Act = "stop" | "watch" | "check" | "resubmit" | "use" | "continue" | "compare";

const LABELS: Record<Exclude<Act, "compare">, string> = {
  stop: "Stop watching",
  watch: "Watch again",
  check: "Check again",
  resubmit: "Submit again",
  use: "Use these settings",
  continue: "Continue",
};

/** What a person can do with a generation in this state. */
export function actions({ active, status }: Entry): Act[] {
  if (status === "unknown") return ["check", "resubmit"];
  if (active) return ["stop"];
  if (status === "stopped") return ["watch", "use"];
  return status === "completed" ? ["continue", "compare", "use"] : ["use"];
}

export function Actions({ view, entry }: { view: View; entry: Entry }) {
  return (
    <div class="kw-act">
      {actions(entry).map((act) => {
        if (act === "resubmit") return <Resubmit key={act} view={view} entry={entry} />;
        if (act === "compare") return <Compare key={act} view={view} entry={entry} />;
        return (
          <button key={act} type="button" class="kw-button" onClick={() => view.channel.send(act, { key: entry.key })}>
            {LABELS[act]}
          </button>
        );
      })}
      {isReady(entry) && (
        <>
          <Download view={view} entry={entry} />
          <Source view={view} entry={entry} />
        </>
      )}
    </div>
  );
}

/** Only where there is another one to compare it with. */
function Compare({ view, entry }: { view: View; entry: Entry }) {
  const { compared, ready } = view;
  const chosen = compared.includes(entry);
  if (ready.length < 2 || !isReady(entry)) return null;
  return (
    <>
      <button type="button" class="kw-button" aria-pressed={chosen} onClick={() => view.compare(entry.key)}>
        Compare
      </button>
      {chosen && compared.length === 1 && <span role="status">Choose another one.</span>}
    </>
  );
}

/** It may be paid twice, so it takes two presses; `aria-disabled` between them, for `disabled` would lose the focus. */
function Resubmit({ view, entry }: { view: View; entry: Entry }) {
  const [asked, setAsked] = useState<"" | "thinking" | "sure">("");
  const press = () => {
    if (asked === "sure") {
      setAsked("");
      view.channel.send("resubmit", { key: entry.key });
      return;
    }
    if (asked) return; // or the timer of each press while thinking would cut the next thinking short
    setAsked("thinking");
    view.after(THINK, () => setAsked((now) => now && "sure"));
  };
  return (
    <>
      <button
        type="button"
        class={`kw-button${asked ? " kw-sure" : ""}`}
        aria-disabled={asked === "thinking"}
        onClick={press}
        onBlur={() => setAsked("")}
      >
        {asked ? "Yes, submit again" : LABELS.resubmit}
      </button>
      {asked && <span role="status">It may be paid twice.</span>}
    </>
  );
}

/** The kernel writes the Python. js/extension hears of it and puts it into the notebook; elsewhere a person pastes it. */
function Source({ view, entry }: { view: View; entry: Entry }) {
  const [told, setTold] = useState("");
  const give = async ({ currentTarget: button }: { currentTarget: EventTarget }) => {
    const detail = (await view.channel.ask("source", { key: entry.key }))?.message.text;
    const insert = new CustomEvent("kling-widget:insert", { bubbles: true, cancelable: true, detail });
    if (!detail || !button.dispatchEvent(insert)) return;
    try {
      await navigator.clipboard.writeText(detail);
      setTold("Copied.");
    } catch {
      setTold(detail); // plain http, or a frame that may not: to be copied by hand
    }
  };
  return (
    <>
      <button type="button" class="kw-button kw-source" onClick={give}>
        <span>Copy as Python</span>
        <span>Insert into notebook</span>
      </button>
      {told && <span role="status">{told}</span>}
    </>
  );
}

/** A link where the host serves the file; else the bytes are fetched when it is pressed. */
function Download({ view, entry }: { view: View; entry: Entry }) {
  const [url, setUrl] = useState<string | null>(null);
  const [percent, setPercent] = useState<number | null>(null);
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    let gone = false;
    void view.media.served(entry).then((served) => !gone && setUrl(served));
    return () => {
      gone = true;
    };
  }, [entry.video?.url]);
  const fetch = async (event: Event) => {
    if (link.current?.getAttribute("href") !== "#") return; // also when we press it ourselves, below
    event.preventDefault();
    if (percent !== null) return;
    setPercent(0);
    const blob = await view.media.video(entry.key, setPercent);
    setPercent(null);
    if (!blob || !link.current) return;
    link.current.href = blob;
    setUrl(blob);
    link.current.click();
  };
  const name = entry.video!.path.split(/[\\/]/).pop()!;
  return (
    <a ref={link} class="kw-button" href={url ?? "#"} download={name} onClick={(event) => void fetch(event)}>
      {percent === null ? "Download" : `${percent} %`}
    </a>
  );
}
