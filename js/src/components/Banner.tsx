import { useState } from "preact/hooks";
import type { View } from "../view";
import { Line } from "./Line";
import { Problems, faulty } from "./Problems";

/** Says that this is the simulator, and takes a key. The key goes to the kernel as a message and stays nowhere here. */
export function Banner({ view }: { view: View }) {
  const simulated = view.model.get("simulated");
  const [opened, setOpened] = useState<boolean | null>(null);
  const open = opened === simulated; // a key that was taken ends the simulator, and closes the field with it
  if (!simulated && !view.problems("key").length) return null;
  return (
    <div class="kw-banner">
      {simulated && (
        <span>
          <span aria-hidden="true">●</span> <b>Simulator.</b>{" "}
          <span class="kw-long">No key found: clips are made on this machine and cost nothing.</span>
        </span>
      )}
      {!open && (
        <button type="button" class="kw-link" onClick={() => setOpened(simulated)}>
          {simulated ? "Add a key" : "Enter a key"}
        </button>
      )}
      {open && (
        <Line
          type="password"
          aria-label="API key"
          placeholder="API key"
          autocomplete="off"
          spellcheck={false}
          data-1p-ignore
          data-lpignore="true"
          {...faulty(view, "key")}
          label="Save"
          close={() => setOpened(null)}
          use={(key) => {
            view.hide("key");
            view.channel.send("key", {}, { buffer: new TextEncoder().encode(key).buffer as ArrayBuffer });
            view.changed();
          }}
        />
      )}
      <Problems view={view} field="key" />
    </div>
  );
}
