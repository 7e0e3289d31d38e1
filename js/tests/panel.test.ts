import { beforeEach, expect, test, vi } from "vitest";
import { FakeModel, type SentOf, entry, frame, ready } from "./fake";
import { carrying, choose, pass, picture, show, type, until } from "./page";

let model: FakeModel;
beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
});

test("everything has the accessible name that people and tests rely on", async () => {
  model = new FakeModel({ first_frame: frame(), last_frame: frame(), simulated: true, entries: [entry()] });
  const { ui } = show(model);
  for (const label of ["First frame", "Last frame"]) {
    const inputs = ui.getAllByLabelText(label, { exact: false });
    expect(inputs).toHaveLength(1); // nothing else may claim the name, not even "Remove first frame"
    expect((inputs[0] as HTMLInputElement).type).toBe("file");
  }
  for (const [role, name] of [
    ["textbox", "Prompt"],
    ["textbox", "Negative prompt"],
    ["radiogroup", "Duration"],
    ["radio", "5 s"],
    ["radio", "10 s"],
    ["slider", "CFG scale"],
    ["button", "Generate"],
    ["button", "Remove first frame"],
    ["button", "Remove last frame"],
    ["button", "Add a key"],
    ["list", "Generations"],
  ] as const) {
    expect(ui.getByRole(role, { name, hidden: true })).toBeTruthy();
  }
});

test("closing a view leaves nothing behind: no listener, no timer, no object URL, no element", async () => {
  const made = vi.spyOn(URL, "createObjectURL");
  const revoked = vi.spyOn(URL, "revokeObjectURL");
  model = new FakeModel({ entries: [entry()], simulated: true });
  model.kernel = ({ type, id: re }) => {
    if (type === "preview") model.hear("preview", { re, key: "", media_type: "image/jpeg" }, new ArrayBuffer(4));
  };
  const { ui, el, close } = show(model);
  await until(() => made.mock.calls.length === 1);
  choose(ui.getByLabelText("First frame"), picture(10));
  ui.getByRole("button", { name: "Generate" }).click();
  type(ui.getByRole("textbox", { name: "Prompt" }), "slow");
  await pass(1_500);
  expect(model.attached).toBeGreaterThan(0);
  close();
  await pass(0);
  expect(model.attached).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(el.innerHTML).toBe("");
  expect(el.className).toBe("");
  expect(made.mock.results.map(({ value }) => value).sort()).toEqual(revoked.mock.calls.map(([url]) => url).sort());
  expect(made).toHaveBeenCalled();
});

test("a kernel that is gone is told, and throws nothing into the page", async () => {
  model = new FakeModel({ entries: [entry()] }); // its preview is asked for again, by a clock: the answer was lost
  const { ui } = show(model);
  await until(() => model.of("preview").length === 1);
  const { send } = model;
  model.send = () => {
    throw new Error("Cannot send"); // as a comm of JupyterLab does that was disposed
  };
  await pass(11_000);
  expect(ui.getByText("The kernel is gone: run the cell again")).toBeTruthy();
  ui.getByRole("button", { name: "Generate" }).click();
  model.send = send;
  await pass(11_000);
  ui.getByRole("button", { name: "Check balance" }).click();
  await until(() => ui.queryByText("about 3 min"));
});

test("closing one view leaves the other alive", async () => {
  const [one, two] = [show(model), show(model)];
  one.close();
  model.set("estimate", "free · about 8 s");
  await until(() => two.ui.queryByText("free · about 8 s"));
  two.ui.getByRole("button", { name: "Generate" }).click();
  expect(model.of("generate")).toHaveLength(1);
});

test("what the kernel says is shown as text, whatever it looks like", async () => {
  const evil = `<img src=x onerror="globalThis.hit=1"><script>globalThis.hit=1</script>`;
  model = new FakeModel({
    prompt: evil,
    estimate: evil,
    first_frame: frame({ name: evil, url: `https://example.org/"><script>globalThis.hit=1</script>`, changes: [evil], warnings: [evil] }),
    entries: [ready({ prompt: evil, text: evil }), entry({ status: "error", active: false, problem: evil, hint: evil })],
    problems: [{ field: "form", text: evil }, { field: "prompt", text: evil }],
  });
  const { el } = show(model);
  await pass(100);
  expect(el.querySelector("script, [onerror]")).toBeNull();
  expect((globalThis as { hit?: number }).hit).toBeUndefined();
  expect(el.textContent!.split(evil).length - 1).toBeGreaterThanOrEqual(8);
});

test("the simulator says so; the key goes as a message, and the field forgets it at once", async () => {
  model = new FakeModel({ simulated: true });
  const { ui, el } = show(model);
  expect(el.textContent).toContain("Simulator. No key found: clips are made on this machine and cost nothing.");
  expect(ui.queryByLabelText("API key")).toBeNull();
  ui.getByRole("button", { name: "Add a key" }).click();
  await until(() => ui.queryByLabelText("API key"));
  const field = ui.getByLabelText("API key") as HTMLInputElement;
  expect([field.type, field.autocomplete]).toEqual(["password", "off"]);
  field.value = " secret-key ";
  ui.getByRole("button", { name: "Save" }).click();
  const [{ buffer, ...said }] = model.of("key") as [SentOf<"key">];
  expect(new TextDecoder().decode(buffer)).toBe("secret-key");
  expect(JSON.stringify(said)).not.toContain("secret-key"); // what a message says is logged by kernels at DEBUG
  expect(field.value).toBe("");
  expect(el.outerHTML).not.toContain("secret-key");
  model.set("simulated", false);
  await until(() => !el.textContent!.includes("Simulator"));
});

test("a refused key can be changed where it is told, on the simulator or not", async () => {
  const { ui } = show(model);
  model.set("problems", [{ field: "key", text: "The key was refused." }]);
  await until(() => ui.queryByRole("button", { name: "Enter a key" }));
  ui.getByRole("button", { name: "Enter a key" }).click();
  await until(() => ui.queryByLabelText("API key"));
  expect(ui.getByRole("alert").textContent).toContain("The key was refused.");
});

test("a dropped file goes to its slot, a dropped address too", async () => {
  const { ui } = show(model);
  const slot = ui.getByLabelText("Last frame").closest("[data-slot]")!;
  slot.dispatchEvent(carrying("dragover", [picture(1)]));
  await until(() => slot.className.includes("kw-hot"));
  const drop = carrying("drop", [picture(10)]);
  slot.dispatchEvent(drop);
  expect(drop.defaultPrevented).toBe(true);
  await until(() => model.of("upload").length === 1);
  expect(model.of("upload")[0]).toMatchObject({ slot: "last_frame", name: "cat.jpg" });
  expect(slot.className).not.toContain("kw-hot");
  const first = ui.getByLabelText("First frame").closest("[data-slot]")!;
  first.dispatchEvent(carrying("drop", [], { "text/uri-list": "https://example.org/cat.png" }));
  expect(model.of("url")).toMatchObject([{ slot: "first_frame", url: "https://example.org/cat.png" }]);
});

test("a pasted picture goes to the first empty slot, then the last, then asks which", async () => {
  const { ui, el } = show(model);
  const root = el.querySelector(".kling-widget")!;
  for (const name of ["a.png", "b.png"]) {
    root.dispatchEvent(carrying("paste", [picture(10, name, "image/png")]));
    await until(() => model.of("upload").some((upload) => upload.name === name));
  }
  expect(model.of("upload").map(({ slot, name }) => [slot, name])).toEqual([
    ["first_frame", "a.png"],
    ["last_frame", "b.png"],
  ]);
  root.dispatchEvent(carrying("paste", [picture(10)]));
  await until(() => ui.queryByText(/Both slots are full/));
  ui.getByLabelText("Last frame").dispatchEvent(carrying("paste", [picture(10, "c.png", "image/png")]));
  await until(() => model.of("upload").some(({ slot, name }) => slot === "last_frame" && name === "c.png"));
});

test("pasting text into a text box is left alone, also when a picture rides along", async () => {
  const { ui } = show(model);
  const box = ui.getByRole("textbox", { name: "Prompt" });
  const text = carrying("paste", [], { "text/plain": "hello" });
  const both = carrying("paste", [picture(10, "cell.png", "image/png")], { "text/plain": "hello" });
  const only = carrying("paste", [picture(10, "shot.png", "image/png")]);
  for (const event of [text, both, only]) box.dispatchEvent(event);
  expect([text, both, only].map((event) => event.defaultPrevented)).toEqual([false, false, true]);
  await until(() => model.of("upload").length === 1);
  expect(model.of("upload")[0]!.name).toBe("shot.png");
});

test("an address is typed into a small field and sent unfetched; remove empties the slot", async () => {
  const { ui } = show(model);
  ui.getAllByRole("button", { name: "URL" })[0]!.click();
  await until(() => ui.queryByLabelText("Picture URL"));
  const field = ui.getByLabelText("Picture URL") as HTMLInputElement;
  field.value = "https://example.org/cat.png";
  field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  expect(model.of("url")).toMatchObject([{ slot: "first_frame", url: "https://example.org/cat.png" }]);
  model.set("first_frame", frame());
  await until(() => ui.queryByRole("button", { name: "Remove first frame" }));
  ui.getByRole("button", { name: "Remove first frame" }).click();
  expect(model.of("remove")).toMatchObject([{ slot: "first_frame" }]);
});

test("changes and warnings are told under the slots, a warning that is also a problem once", async () => {
  const warning = "212 × 180 px is below the 300 px the model needs.";
  model = new FakeModel({ first_frame: frame({ changes: ["Turned upright."], warnings: [warning] }) });
  const { ui, el } = show(model);
  expect(el.textContent).toContain(`First frame: Turned upright. ${warning}`);
  model.set("problems", [{ field: "first_frame", text: warning, anyway: true }]);
  await until(() => ui.queryByRole("alert"));
  expect(el.textContent!.split(warning)).toHaveLength(2);
});

test("a picture that came from elsewhere is shown by the kernel's preview", async () => {
  model.kernel = (message) => {
    model.hear("ack", { re: message.id });
    if (message.type !== "preview") return;
    model.hear("preview", { re: message.id, key: message.key, media_type: "image/jpeg" }, new ArrayBuffer(4));
  };
  const { el } = show(model);
  model.set("first_frame", frame({ key: "sha256:9" }));
  await pass(50);
  await until(() => el.querySelector(".kw-slot .kw-preview img"));
  expect(model.of("preview")).toMatchObject([{ key: "sha256:9" }]);
});

test("the price stands beside Generate; the balance is asked for by hand, never by itself", async () => {
  model = new FakeModel({ estimate: "about $0.66 · ready in about 3 min" });
  const { ui } = show(model);
  await pass(5_000);
  expect(model.of("balance")).toHaveLength(0);
  expect(ui.getByText("about $0.66 · ready in about 3 min").getAttribute("role")).toBe("status");
  ui.getByRole("button", { name: "Check balance" }).click();
  expect(model.of("balance")).toHaveLength(1);
  model.set("estimate", "about $0.66 of $12.50 · ready in about 3 min");
  await until(() => ui.queryByText("about $0.66 of $12.50 · ready in about 3 min"));
});

test("on the simulator there is no balance to check", async () => {
  model = new FakeModel({ simulated: true, estimate: "free · about 8 s" });
  const { ui } = show(model);
  expect(ui.queryByRole("button", { name: "Check balance" })).toBeNull();
  model.set("simulated", false);
  await until(() => ui.queryByRole("button", { name: "Check balance" }));
});

test("what a person writes runs in its own direction", async () => {
  const prompt = "צילום איטי של נמל";
  model = new FakeModel({ prompt, entries: [entry({ prompt })] });
  const { ui, el } = show(model);
  for (const name of ["Prompt", "Negative prompt"]) {
    expect(ui.getByRole("textbox", { name, hidden: true }).getAttribute("dir")).toBe("auto");
  }
  expect(el.querySelector(".kw-gen .kw-prompt")!.getAttribute("dir")).toBe("auto");
});
