import { useState } from "preact/hooks";
import type { View } from "../view";
import { Generation } from "./Generation";

/** Entries shown before a person asks for the older ones. */
const SHOWN = 20;

export function Generations({ view }: { view: View }) {
  const [all, setAll] = useState(false);
  const entries = all ? view.entries : view.entries.slice(0, SHOWN);
  const older = view.entries.length - entries.length;
  return (
    <>
      <ul class="kw-list" role="list" aria-label="Generations">
        {entries.map((entry) => (
          <Generation key={entry.key} view={view} entry={entry} />
        ))}
      </ul>
      {older > 0 && (
        <button type="button" class="kw-link" onClick={() => setAll(true)}>
          Show {older} older
        </button>
      )}
    </>
  );
}
