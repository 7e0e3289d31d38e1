import { beforeEach, expect, test, vi } from "vitest";
import { FakeModel, frame } from "./fake";
import { pass, show, type, until } from "./page";

let model: FakeModel;
beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel({ first_frame: frame() });
});

const prompt = (ui: ReturnType<typeof show>["ui"]) => ui.getByRole("textbox", { name: "Prompt" }) as HTMLTextAreaElement;
const press = (ui: ReturnType<typeof show>["ui"], name = "Generate") => ui.getByRole("button", { name }).click();

test("typing is sent once it pauses, not key by key", async () => {
  const { ui } = show(model);
  for (const text of ["s", "sl", "slo", "slow"]) {
    type(prompt(ui), text);
    await pass(100);
  }
  expect(model.saves).toBe(0);
  expect(model.get("prompt")).toBe("");
  await pass(250);
  expect(model.get("prompt")).toBe("slow");
  expect(model.saves).toBe(1);
});

test("Generate sends what has just been typed, in the traits and in the message", async () => {
  const { ui } = show(model);
  type(prompt(ui), "slow dolly in");
  press(ui);
  expect(model.get("prompt")).toBe("slow dolly in");
  expect(model.saves).toBe(1);
  const [message] = model.of("generate");
  expect(message).toMatchObject({
    form: { prompt: "slow dolly in", negative_prompt: "", duration: 5, cfg_scale: 0.5, camera_control: null },
    anyway: false,
  });
  expect(message!.id).toMatch(/./);
});

test("leaving the page sends what has just been typed", async () => {
  const { ui, close } = show(model);
  type(prompt(ui), "slow");
  close();
  expect(model.get("prompt")).toBe("slow");
});

test("a change from Python shows, but not in the field being typed in until the person pauses", async () => {
  const { ui } = show(model);
  model.set("prompt", "from Python");
  await until(() => prompt(ui).value === "from Python");
  type(prompt(ui), "mine");
  await pass(300); // sent
  model.set("prompt", "from a link");
  await pass(300);
  expect(prompt(ui).value).toBe("mine");
  await pass(500);
  expect(prompt(ui).value).toBe("from a link");
});

test("a change of another field shows while the prompt is typed in", async () => {
  const { ui } = show(model);
  type(prompt(ui), "mine");
  model.set("cfg_scale", 0.8);
  model.set("duration", 10);
  await until(() => (ui.getByRole("slider", { name: "CFG scale" }) as HTMLInputElement).value === "0.8");
  expect((ui.getByRole("radio", { name: "10 s" }) as HTMLInputElement).checked).toBe(true);
});

test("duration and CFG scale reach the kernel; zero stays zero", async () => {
  const { ui } = show(model);
  ui.getByRole("radio", { name: "10 s" }).click();
  expect(model.get("duration")).toBe(10);
  type(ui.getByRole("slider", { name: "CFG scale" }), "0");
  press(ui);
  expect(model.of("generate")[0]!.form).toMatchObject({ duration: 10, cfg_scale: 0 });
  await pass(0);
  expect(ui.getByText("CFG scale").parentElement!.textContent).toBe("CFG scale0");
});

test("a double click is one press; a second later it is another", async () => {
  const { ui } = show(model);
  press(ui);
  press(ui);
  expect(model.of("generate")).toHaveLength(1);
  await pass(0);
  expect(ui.getByRole("button", { name: "Generate" }).getAttribute("aria-disabled")).toBe("true");
  await pass(1_000);
  expect(ui.getByRole("button", { name: "Generate" }).getAttribute("aria-disabled")).toBe("false");
  press(ui);
  expect(model.of("generate")).toHaveLength(2);
});

test("Ctrl+Enter and Cmd+Enter in the prompt press Generate; keys go no further than the widget", async () => {
  const { ui } = show(model);
  const heard = vi.fn();
  document.body.addEventListener("keydown", heard);
  for (const key of [{ ctrlKey: true }, { metaKey: true }, {}]) {
    prompt(ui).dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, ...key }));
    await pass(1_000);
  }
  document.body.removeEventListener("keydown", heard);
  expect(model.of("generate")).toHaveLength(2);
  expect(heard).not.toHaveBeenCalled();
  expect(prompt(ui).closest("[data-lm-suppress-shortcuts=true]")).not.toBeNull();
});

test("no acknowledgement within 500 ms says that a cell is running, until there is one", async () => {
  model.kernel = () => {};
  const { ui } = show(model);
  press(ui);
  await pass(400);
  expect(ui.queryByText("Waiting for the running cell…")).toBeNull();
  await pass(150);
  expect(ui.queryByText("Waiting for the running cell…")).not.toBeNull();
  model.hear("ack", { re: "somebody else's" });
  await pass(0);
  expect(ui.queryByText("Waiting for the running cell…")).not.toBeNull();
  model.hear("ack", { re: model.of("generate")[0]!.id });
  await pass(0);
  expect(ui.queryByText("Waiting for the running cell…")).toBeNull();
  expect(ui.queryByText("about 3 min")).not.toBeNull();
});

test("two views of one model: same form, each its own acknowledgements", async () => {
  model.kernel = () => {};
  const [one, two] = [show(model), show(model)];
  type(prompt(one.ui), "slow");
  await pass(300);
  expect(prompt(two.ui).value).toBe("slow");
  press(one.ui);
  press(two.ui);
  await pass(600);
  const [first, second] = model.of("generate");
  expect(first!.id).not.toBe(second!.id);
  model.hear("ack", { re: first!.id });
  await pass(0);
  expect(one.ui.queryByText("Waiting for the running cell…")).toBeNull();
  expect(two.ui.queryByText("Waiting for the running cell…")).not.toBeNull();
  const names = new Set([...document.querySelectorAll("input[type=radio]")].map((radio) => (radio as HTMLInputElement).name));
  expect(names.size).toBe(2);
});

test("a problem shows beside its field, tied to it, and goes when the person puts it right", async () => {
  const { ui } = show(model);
  type(prompt(ui), "x");
  model.set("problems", [{ field: "prompt", text: "A prompt is needed." }]);
  await until(() => ui.queryByRole("alert"));
  const alert = ui.getByRole("alert");
  expect(alert.textContent).toContain("A prompt is needed.");
  expect(prompt(ui).getAttribute("aria-invalid")).toBe("true");
  expect(prompt(ui).getAttribute("aria-describedby")).toBe(alert.id);
  expect(prompt(ui).value).toBe("x");
  type(prompt(ui), "xy");
  await until(() => !ui.queryByRole("alert"));
  expect(prompt(ui).hasAttribute("aria-invalid")).toBe(false);
});

test("the same problem found again by the next press shows again, though the trait did not change", async () => {
  const { ui } = show(model);
  model.set("problems", [{ field: "prompt", text: "A prompt is needed." }]);
  type(prompt(ui), " ");
  await until(() => !ui.queryByRole("alert"));
  press(ui);
  await pass(1_100);
  expect(ui.queryByRole("alert")).not.toBeNull();
});

test("a problem that went and came back is seen at once", async () => {
  const { ui } = show(model);
  const problems = [{ field: "prompt" as const, text: "A prompt is needed." }];
  model.set("problems", problems);
  type(prompt(ui), " ");
  await until(() => !ui.queryByRole("alert"));
  model.set("problems", []);
  model.set("problems", problems);
  await until(() => ui.queryByRole("alert"));
});

test("where the person may send all the same, one button does", async () => {
  const { ui } = show(model);
  model.set("problems", [
    { field: "first_frame", text: "212 × 180 px is below the 300 px the model needs.", anyway: true },
    { field: "form", text: "Out of credits.", anyway: false },
  ]);
  await until(() => ui.queryByRole("button", { name: "Send anyway" }));
  press(ui, "Send anyway");
  expect(model.of("generate")[0]).toMatchObject({ anyway: true });
});

test("who is advised against may insist at once, and a double click on it is one press", async () => {
  const { ui } = show(model);
  press(ui);
  model.set("problems", [{ field: "prompt", text: "The prompt has 10,000 characters.", anyway: true }]);
  await until(() => ui.queryByRole("button", { name: "Send anyway" }));
  press(ui, "Send anyway");
  press(ui, "Send anyway");
  expect(model.of("generate").map(({ anyway }) => anyway)).toEqual([false, true]);
});

test("the negative prompt opens where it has text", async () => {
  const { el } = show(new FakeModel());
  expect(el.querySelector("details")!.open).toBe(false);
  const used = show(new FakeModel({ negative_prompt: "blur" }));
  await pass(100);
  expect(used.el.querySelector("details")!.open).toBe(true);
  expect((used.ui.getByRole("textbox", { name: "Negative prompt" }) as HTMLTextAreaElement).value).toBe("blur");
});

test("the camera moves by one amount, along a path of the vendor's, or as Python says", async () => {
  model = new FakeModel({ first_frame: frame(), camera_control: { type: "simple", config: { pan: 2, zoom: -3 } } });
  const { el, ui } = show(model);
  await pass(100);
  expect(el.querySelector("details")!.open).toBe(true);
  const camera = ui.getByRole("combobox", { name: "Camera" }) as HTMLSelectElement;
  const choose = async (value: string) => {
    camera.value = value;
    camera.dispatchEvent(new Event("change", { bubbles: true }));
    await pass(300);
    return model.get("camera_control");
  };
  expect(camera.selectedOptions[0]!.textContent).toBe("Pan 2, zoom -3");
  expect(ui.queryByRole("slider", { name: "Amount" })).toBeNull();
  expect(await choose("pan 2, zoom -3")).toEqual({ type: "simple", config: { pan: 2, zoom: -3 } });
  expect(await choose("tilt")).toEqual({ type: "simple", config: { tilt: -5 } });
  expect(camera.selectedOptions[0]!.textContent).toBe("Tilt (left, right)");
  const amount = ui.getByRole("slider", { name: "Amount" });
  for (const [value, said] of [["3", "3 right"], ["0", "0 "], ["-0.5", "-0.5 left"]] as const) {
    type(amount, value);
    await pass(300);
    expect(amount.getAttribute("aria-valuetext")).toBe(said);
  }
  expect(model.get("camera_control")).toEqual({ type: "simple", config: { tilt: -0.5 } });
  expect(await choose("down_back")).toEqual({ type: "down_back" });
  expect(ui.queryByRole("slider", { name: "Amount" })).toBeNull();
  press(ui);
  expect(model.of("generate")[0]!.form.camera_control).toEqual({ type: "down_back" });
  expect(await choose("")).toBeNull();
});

/** A held key as a browser tells of it: a press, then its repeats. Returns which of them the page would have acted upon. */
async function hold(target: HTMLElement, keys: KeyboardEventInit = {}): Promise<boolean[]> {
  const acted: boolean[] = [];
  for (let i = 0; i < 80; i += 1) {
    const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, repeat: i > 0, ...keys });
    acted.push(target.dispatchEvent(event));
    await pass(30);
  }
  return acted;
}

test("Ctrl+Enter that is held is one press, and a held Enter makes new lines", async () => {
  const { ui } = show(model);
  for (const keys of [{ ctrlKey: true }, { metaKey: true }]) await hold(prompt(ui), keys);
  expect(model.of("generate")).toHaveLength(2);
  expect(await hold(prompt(ui))).toEqual(Array(80).fill(true));
});

test("Enter that is held on a button presses it once", async () => {
  const { ui } = show(model);
  const button = ui.getByRole("button", { name: "Generate" });
  const heard = vi.fn();
  document.body.addEventListener("keydown", heard);
  expect(await hold(button)).toEqual([true, ...Array(79).fill(false)]); // browsers click for each that is let through
  expect(await hold(button, { key: "Tab" })).toEqual(Array(80).fill(true));
  document.body.removeEventListener("keydown", heard);
  expect(heard).not.toHaveBeenCalled();
});

test("an acknowledgement settles what was sent before it: a lost message is not waited for for good", async () => {
  model.kernel = () => {};
  const { ui } = show(model);
  press(ui);
  await pass(600);
  expect(ui.queryByText("Waiting for the running cell…")).not.toBeNull();
  press(ui, "Check balance");
  const [balance] = model.of("balance");
  press(ui, "Check balance");
  await pass(600);
  model.hear("ack", { re: balance!.id });
  await pass(0);
  expect(ui.queryByText("Waiting for the running cell…")).not.toBeNull(); // for the one that was sent later
  model.hear("ack", { re: model.of("balance")[1]!.id });
  await pass(0);
  expect(ui.queryByText("Waiting for the running cell…")).toBeNull();
  expect(ui.queryByText("about 3 min")).not.toBeNull();
});

test("a press of the same form that nobody has acknowledged yet is named, so that the kernel takes both for one", async () => {
  model.kernel = () => {};
  const { ui } = show(model);
  const again = () => model.of("generate").at(-1)!.again;
  const pressed = async () => {
    press(ui);
    await pass(1_100);
    return model.of("generate").at(-1)!.id;
  };
  const first = await pressed();
  expect(again()).toBeNull();
  press(ui, "Check balance");
  model.hear("ack", { re: model.of("balance")[0]!.id }); // from another thread of the kernel: no word on the press
  const second = await pressed();
  expect(again()).toBe(first);
  model.hear("ack", { re: first });
  const third = await pressed();
  expect(again()).toBe(second);
  type(prompt(ui), "another one");
  await pressed();
  expect(again()).toBeNull();
  type(prompt(ui), "");
  const fifth = await pressed();
  expect(again()).toBeNull();
  model.hear("ack", { re: third });
  await pressed();
  expect(again()).toBe(fifth);
  model.hear("ack", { re: model.of("generate").at(-1)!.id });
  await pressed();
  expect(again()).toBeNull();
});

