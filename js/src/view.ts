import { Channel, unique } from "./channel";
import { Fields } from "./fields";
import { Media } from "./media";
import type { Entry, Field, Model, Problem, Slot, Traits } from "./model";
import { Picture } from "./picture";
import { isReady } from "./status";

/** Milliseconds the button rests after a press; presses within it are one (docs/architecture.md). */
const REST = 1_000;

/** Videos compared at a time: more are too small to be told apart. */
const COMPARED = 4;

/** Characters of a prompt by which a screen reader tells which clip it is. */
const HEARD = 60;

const WATCHED: (keyof Traits)[] = ["first_frame", "last_frame", "entries", "problems", "simulated", "estimate"];

/** Everything one view of the widget holds beside the DOM; components read it and call it. */
export class View {
  /** Prefix of element ids: several views may stand on one page. */
  readonly id = `kw-${unique()}`;
  readonly channel: Channel;
  readonly media: Media;
  readonly fields: Fields;
  readonly pictures: Record<Slot, Picture>;
  /** True for a second after a press of Generate. */
  resting = false;
  /** Pressed while a picture was still on its way: goes when it is in. */
  pressed: { anyway: boolean } | null = null;
  /** What a screen reader is told. */
  news = "";
  /** A problem with the form as a whole, found on this side. */
  problem: string | null = null;
  /** Set by whoever draws the view. */
  redraw: () => void = () => {};
  #hidden = new Map<Field, string>();
  #statuses = new Map<string, string>();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;
  #compared: string[] = [];
  /** Whether the last press was on "Send anyway". */
  #insisted = false;
  /** The last press that was sent, and what it said; that is empty once the kernel has it. */
  #press = { id: "", said: "" };

  constructor(readonly model: Model) {
    this.channel = new Channel(model, this.changed);
    this.media = new Media(model, this.channel);
    this.fields = new Fields(model, this.changed);
    const refused = () => (this.pressed = null); // what was to be made is not what was asked for
    const picture = (slot: Slot) =>
      new Picture(slot, model, this.channel, this.media, this.#pictureChanged, refused);
    this.pictures = { first_frame: picture("first_frame"), last_frame: picture("last_frame") };
    this.#listen();
    for (const name of WATCHED) model.on(`change:${name}`, this.changed);
    model.on("change:entries", this.#listen);
    model.on("change:problems", this.#recount);
  }

  get entries(): Entry[] {
    return this.model.get("entries");
  }

  /** What can be played now. */
  get ready(): Entry[] {
    return this.entries.filter(isReady);
  }

  /** The videos chosen to be compared, in the order of choosing. */
  get compared(): Entry[] {
    return this.#compared.flatMap((key) => this.ready.find((entry) => entry.key === key) ?? []);
  }

  /** Choose a video to be compared, or no longer; null: none of them. The first leaves for the one that is too many. */
  compare(key: string | null): void {
    const others = this.#compared.filter((other) => other !== key);
    this.#compared = key === null ? [] : this.#compared.includes(key) ? others : [...others, key].slice(-COMPARED);
    if (this.#compared.length > 1) this.news = `${this.#compared.length} videos are compared above the list.`;
    this.changed();
  }

  changed = (): void => {
    if (!this.#closed) this.redraw();
  };

  /** What keeps this field from being sent, as far as the person hasn't begun to put it right. */
  problems(field: Field): Problem[] {
    const own = field === "first_frame" || field === "last_frame" ? this.pictures[field] : null;
    const text = field === "form" ? this.problem : own?.problem;
    const here = text ? [{ field, text }] : [];
    if (own && own.phase !== "idle") return here;
    const theirs = this.model.get("problems").filter((problem) => problem.field === field);
    return [...here, ...theirs.filter((problem) => this.#hidden.get(field) !== problem.text)];
  }

  /** The person is putting this field right. */
  hide(field: Field): void {
    for (const problem of this.model.get("problems")) if (problem.field === field) this.#hidden.set(field, problem.text);
    if (field === "form") this.problem = null;
  }

  /** A press of Generate: at once, or as soon as the pictures are in. */
  generate(anyway = false): void {
    if (this.resting && (this.#insisted || !anyway)) return; // who was advised against may insist at once
    this.#insisted = anyway;
    this.resting = true;
    this.problem = null;
    this.after(REST, () => (this.resting = false));
    this.pressed = { anyway };
    this.#go();
    this.changed();
  }

  /** A picture dropped or pasted on no slot in particular: the first empty one takes it. */
  place(file: File, slot?: Slot): void {
    const free = (["first_frame", "last_frame"] as const).find((name) => {
      const picture = this.pictures[name];
      return !picture.frame && picture.phase === "idle";
    });
    const target = slot ?? free;
    if (target) this.pictures[target].pick(file);
    else this.problem = "Both slots are full. Point at the one to replace, then paste or drop again.";
    this.changed();
  }

  /** A timer that dies with the view and redraws it. */
  after(milliseconds: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
      this.changed();
    }, milliseconds);
    this.#timers.add(timer);
  }

  close(): void {
    this.#closed = true;
    this.fields.close();
    for (const picture of Object.values(this.pictures)) picture.close();
    for (const name of WATCHED) this.model.off(`change:${name}`, this.changed);
    this.model.off("change:entries", this.#listen);
    this.model.off("change:problems", this.#recount);
    for (const timer of this.#timers) clearTimeout(timer);
    this.channel.close();
    this.media.close();
  }

  #go(): void {
    if (!this.pressed || Object.values(this.pictures).some(({ phase }) => phase !== "idle")) return;
    const { anyway } = this.pressed;
    this.pressed = null;
    this.fields.flush();
    // The same problem again is no change of the trait: what was hidden must show itself once the kernel has looked.
    const acked = (itself: boolean) => {
      if (itself) press.said = "";
      this.after(REST, () => this.#hidden.clear());
    };
    const form = this.fields.values;
    const press = { id: "", said: JSON.stringify([form, anyway]) };
    const again = press.said === this.#press.said ? this.#press.id : null;
    press.id = this.channel.send("generate", { form, anyway, again }, { acked });
    this.#press = press;
  }

  #pictureChanged = (): void => {
    this.#go();
    this.changed();
  };

  /** A problem that has gone and comes back is to be seen again. */
  #recount = (): void => {
    const texts = this.model.get("problems").map(({ text }) => text);
    for (const [field, text] of this.#hidden) if (!texts.includes(text)) this.#hidden.delete(field);
  };

  /** Tell changes of status, and only those, to screen readers. */
  #listen = (): void => {
    const news = this.entries.filter(({ key, text }) => this.#statuses.has(key) && this.#statuses.get(key) !== text);
    if (news.length) this.news = news.map(({ prompt, text }) => `${text}: ${prompt.slice(0, HEARD)}`).join(". ");
    this.#statuses = new Map(this.entries.map(({ key, text }) => [key, text]));
  };
}
