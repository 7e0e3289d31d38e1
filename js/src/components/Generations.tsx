import type { View } from "../view";
import { Generation } from "./Generation";

/** All that the kernel tells of: it ends the list itself (LONGEST in listing.py). */
export function Generations({ view }: { view: View }) {
  return (
    <ul class="kw-list" role="list" aria-label="Generations">
      {view.entries.map((entry) => (
        <Generation key={entry.key} view={view} entry={entry} />
      ))}
    </ul>
  );
}
