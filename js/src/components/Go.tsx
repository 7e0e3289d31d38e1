import type { View } from "../view";
import { Problems } from "./Problems";

/** What it will take, and the button; resting it is `aria-disabled`, for `disabled` would lose the keyboard's focus. */
export function Go({ view }: { view: View }) {
  const line = view.channel.gone
    ? "The kernel is gone: run the cell again"
    : view.channel.waiting
      ? "Waiting for the running cell…"
      : view.pressed
        ? "Starts when the picture is in"
        : view.model.get("estimate");
  return (
    <div class="kw-go">
      <span class="kw-price">
        <span role="status">{line}</span>
        {!view.model.get("simulated") && (
          <button type="button" class="kw-link" onClick={() => view.channel.send("balance", {})}>
            Check balance
          </button>
        )}
      </span>
      <button type="button" class="kw-primary" aria-disabled={view.resting} onClick={() => view.generate()}>
        Generate
      </button>
      <Problems view={view} field="form" />
    </div>
  );
}
