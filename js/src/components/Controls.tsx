import { useEffect, useRef } from "preact/hooks";
import type { Form } from "../model";
import type { View } from "../view";
import { Problems, faulty } from "./Problems";

/** What a camera can do by an amount each, as the API names it, and which way that is below and above 0 (camera.py). */
const WAYS: Record<string, [string, string]> = {
  zoom: ["in", "out"],
  pan: ["down", "up"],
  tilt: ["left", "right"],
  roll: ["left", "right"],
  horizontal: ["left", "right"],
  vertical: ["down", "up"],
};
/** What it has a name for. */
const PATHS = ["down_back", "forward_up", "right_turn_forward", "left_turn_forward"];
/** The amount a movement begins with: a zoom in; they go from -10 to 10. */
const AMOUNT = -5;

/** Prompt, duration, CFG scale; negative prompt and camera for whoever wants them. */
export function Controls({ view }: { view: View }) {
  const { cfg_scale: cfg, duration } = view.fields.values;
  return (
    <div>
      <Text view={view} name="prompt" label="Prompt" rows={3} />
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
          <Slider
            view={view}
            id={`${view.id}-cfg`}
            from={0}
            to={1}
            step={0.05}
            value={cfg}
            {...faulty(view, "cfg_scale")}
            set={(value) => {
              view.hide("cfg_scale");
              view.fields.edit("cfg_scale", value);
            }}
          />
        </div>
      </div>
      <Problems view={view} field="duration" />
      <Problems view={view} field="cfg_scale" />
      <More view={view} />
    </div>
  );
}

/** Closed until it is wanted; open whenever there is something in it that would be sent. */
function More({ view }: { view: View }) {
  const details = useRef<HTMLDetailsElement>(null);
  const { negative_prompt: negative, camera_control: camera } = view.fields.values;
  const used = !!(negative || camera || view.problems("negative_prompt").length || view.problems("camera_control").length);
  useEffect(() => {
    if (used && details.current) details.current.open = true;
  }, [used]);
  return (
    <details ref={details} class="kw-more">
      <summary>Negative prompt, camera</summary>
      <Text view={view} name="negative_prompt" label="Negative prompt" rows={2} />
      <Camera view={view} />
    </details>
  );
}

function Camera({ view }: { view: View }) {
  const camera = view.fields.values.camera_control;
  const moves = camera?.type === "simple" ? Object.entries(camera.config ?? {}) : [];
  const several = moves.map((move) => move.join(" ")).join(", ") || "simple"; // what only Python says
  const kind = !camera ? "" : camera.type !== "simple" ? camera.type : moves.length === 1 ? moves[0]![0] : several;
  const kinds = ["", ...Object.keys(WAYS), ...PATHS];
  if (!kinds.includes(kind)) kinds.push(kind);
  const set = (value: Form["camera_control"]) => {
    view.hide("camera_control");
    view.fields.edit("camera_control", value);
  };
  const move = (name: string, amount: number) => set({ type: "simple", config: { [name]: amount } });
  const amount = moves[0]?.[1] ?? 0;
  const ways = WAYS[kind];
  const said = `${amount} ${amount && ways ? ways[+(amount > 0)] : ""}`;
  return (
    <div class="kw-row">
      <div>
        <label class="kw-t" for={`${view.id}-camera`}>
          Camera
        </label>
        <select
          id={`${view.id}-camera`}
          class="kw-input"
          value={kind}
          {...faulty(view, "camera_control")}
          onChange={({ currentTarget: { value } }) => {
            if (WAYS[value]) move(value, AMOUNT);
            else if (value !== several) set(value ? { type: value } : null);
            view.fields.rest();
          }}
        >
          {kinds.map((name) => (
            <option key={name} value={name}>
              {name ? name[0]!.toUpperCase() + name.slice(1).replaceAll("_", " ") : "Not set"}
              {WAYS[name] && ` (${WAYS[name].join(", ")})`}
            </option>
          ))}
        </select>
      </div>
      {ways && (
        <div class="kw-cfg">
          <span class="kw-t">
            <label for={`${view.id}-amount`}>Amount</label>
            <span aria-hidden="true">{said}</span>
          </span>
          <Slider
            view={view}
            id={`${view.id}-amount`}
            aria-valuetext={said}
            from={-10}
            to={10}
            step={0.5}
            value={amount}
            set={(value) => move(kind, value)}
          />
        </div>
      )}
      <Problems view={view} field="camera_control" />
    </div>
  );
}

interface SliderProps {
  view: View;
  id: string;
  from: number;
  to: number;
  step: number;
  value: number;
  set: (value: number) => void;
  "aria-valuetext"?: string;
}

function Slider({ view, from, to, step, value, set, ...rest }: SliderProps) {
  return (
    <input
      type="range"
      min={from}
      max={to}
      step={step} // before the value, which is rounded by it
      value={value}
      style={{ "--kw-at": `${(100 * (value - from)) / (to - from)}%` }}
      onInput={(event) => set(event.currentTarget.valueAsNumber)}
      onBlur={() => view.fields.rest()}
      {...rest}
    />
  );
}

interface TextProps {
  view: View;
  name: "prompt" | "negative_prompt";
  label: string;
  rows: number;
}

function Text({ view, name, label, rows }: TextProps) {
  const id = `${view.id}-${name}`;
  return (
    <>
      <label class="kw-t" for={id}>
        {label}
      </label>
      <textarea
        id={id}
        class="kw-text"
        rows={rows}
        dir="auto"
        value={view.fields.values[name]}
        {...faulty(view, name)}
        onInput={(event) => {
          view.hide(name);
          view.fields.edit(name, event.currentTarget.value);
        }}
        onBlur={() => view.fields.rest()}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.repeat && (event.ctrlKey || event.metaKey)) view.generate();
        }}
      />
      <Problems view={view} field={name} />
    </>
  );
}
