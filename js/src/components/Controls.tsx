import { useEffect, useRef } from "preact/hooks";
import type { View } from "../view";
import { Problems, faulty } from "./Problems";

/** Prompt, duration, CFG scale, negative prompt. */
export function Controls({ view }: { view: View }) {
  const { cfg_scale: cfg, duration } = view.fields.values;
  return (
    <div class="kw-controls">
      <Text view={view} name="prompt" label="Prompt" />
      <div class="kw-row">
        <div role="radiogroup" aria-labelledby={`${view.id}-duration`}>
          <span class="kw-t" id={`${view.id}-duration`}>
            Duration
          </span>
          <span class="kw-seg">
            {[5, 10].map((seconds) => (
              <label key={seconds} class={seconds === duration ? "kw-on" : ""}>
                <input
                  type="radio"
                  name={`${view.id}-duration`}
                  checked={seconds === duration}
                  onChange={() => {
                    view.hide("duration");
                    view.fields.edit("duration", seconds);
                    view.fields.rest();
                  }}
                />
                {seconds} s
              </label>
            ))}
          </span>
        </div>
        <div class="kw-cfg">
          <span class="kw-t">
            <label for={`${view.id}-cfg`}>CFG scale</label>
            <span aria-hidden="true">{Number(cfg.toFixed(2))}</span>
          </span>
          <input
            id={`${view.id}-cfg`}
            type="range"
            min="0"
            max="1"
            step="0.05"
            value={cfg}
            style={{ "--kw-at": `${cfg * 100}%` }}
            {...faulty(view, "cfg_scale")}
            onInput={(event) => {
              view.hide("cfg_scale");
              view.fields.edit("cfg_scale", event.currentTarget.valueAsNumber);
            }}
          />
        </div>
      </div>
      <Problems view={view} field="duration" />
      <Problems view={view} field="cfg_scale" />
      <Negative view={view} />
    </div>
  );
}

/** Closed until it is wanted; open whenever there is something in it that would be sent. */
function Negative({ view }: { view: View }) {
  const details = useRef<HTMLDetailsElement>(null);
  const used = !!view.fields.values.negative_prompt || view.problems("negative_prompt").length > 0;
  useEffect(() => {
    if (used && details.current) details.current.open = true;
  }, [used]);
  return (
    <details ref={details} class="kw-more">
      <summary>Negative prompt</summary>
      <Text view={view} name="negative_prompt" label="Negative prompt" quiet />
    </details>
  );
}

interface TextProps {
  view: View;
  name: "prompt" | "negative_prompt";
  label: string;
  quiet?: boolean;
}

function Text({ view, name, label, quiet = false }: TextProps) {
  const id = `${view.id}-${name}`;
  return (
    <>
      {!quiet && (
        <label class="kw-t" for={id}>
          {label}
        </label>
      )}
      <textarea
        id={id}
        {...(quiet ? { "aria-label": label } : {})}
        class="kw-text"
        rows={quiet ? 2 : 3}
        value={view.fields.values[name]}
        {...faulty(view, name)}
        onInput={(event) => {
          view.hide(name);
          view.fields.edit(name, event.currentTarget.value);
        }}
        onBlur={() => view.fields.rest()}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) view.generate();
        }}
      />
      <Problems view={view} field={name} />
    </>
  );
}
