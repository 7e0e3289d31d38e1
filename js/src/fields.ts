import type { Form, Model } from "./model";

/** Milliseconds of quiet after which typing is sent. */
const DEBOUNCE = 250;
/** Milliseconds after the last key during which nobody else may change the field under the person's hands. */
const TYPING = 1_000;

type Name = keyof Form;
const NAMES: Name[] = ["prompt", "negative_prompt", "duration", "cfg_scale", "camera_control"];

/** The form as the person sees it: follows the traits, except in the field that is being typed in. */
export class Fields {
  values: Form;
  #unsent = new Set<Name>();
  #typing: Name | null = null;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private model: Model,
    private changed: () => void,
  ) {
    this.values = Object.fromEntries(NAMES.map((name) => [name, model.get(name)])) as unknown as Form;
    for (const name of NAMES) model.on(`change:${name}`, this.#follow);
  }

  /** The person changed a field. */
  edit<K extends Name>(name: K, value: Form[K]): void {
    if (this.#typing && this.#typing !== name) this.rest();
    this.values = { ...this.values, [name]: value };
    this.#unsent.add(name);
    this.#typing = name;
    clearTimeout(this.#debounce);
    clearTimeout(this.#idle);
    this.#debounce = setTimeout(() => this.flush(), DEBOUNCE);
    this.#idle = setTimeout(() => this.rest(), TYPING);
    this.changed();
  }

  /** The person left the field or paused: what others wrote meanwhile shows now. */
  rest(): void {
    this.flush();
    clearTimeout(this.#idle);
    this.#typing = null;
    this.#follow();
  }

  /** Send what has been typed and not yet sent. */
  flush(): void {
    clearTimeout(this.#debounce);
    if (!this.#unsent.size) return;
    const names = [...this.#unsent];
    this.#unsent.clear();
    for (const name of names) this.model.set(name, this.values[name]);
    this.model.save_changes();
  }

  close(): void {
    this.flush();
    clearTimeout(this.#idle);
    for (const name of NAMES) this.model.off(`change:${name}`, this.#follow);
  }

  #follow = (): void => {
    for (const name of NAMES) {
      const value = this.model.get(name);
      if (this.#typing === name || this.#unsent.has(name) || value === this.values[name]) continue;
      this.values = { ...this.values, [name]: value };
      this.changed();
    }
  };
}
