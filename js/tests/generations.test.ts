import { beforeEach, expect, test, vi } from "vitest";
import type { Entry } from "../src/model";
import { FakeModel, type Sent, entry, ready } from "./fake";
import { pass, show, until } from "./page";

let model: FakeModel;
beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
});

function shown(...entries: Entry[]) {
  model.set("entries", entries);
  const view = show(model);
  const item = () => view.ui.getAllByRole("listitem")[0]!;
  const buttons = () => [...item().querySelectorAll(".kw-act button, .kw-act a")].map((button) => button.textContent);
  const press = (name: string | RegExp) => view.ui.getByRole("button", { name }).click();
  return { ...view, item, buttons, press };
}

/** A kernel that serves the video in pieces of four bytes. */
function serving(bytes: Uint8Array<ArrayBuffer>): (message: Sent) => void {
  return (message) => {
    model.hear("ack", { re: message.id });
    if (message.type !== "video") return;
    const { id: re, key, offset } = message;
    model.hear("video", { re, key, offset, size: bytes.length }, bytes.slice(offset, offset + 4).buffer);
  };
}

test("time goes on between the kernel's messages, the bar with it, and never to the end", async () => {
  const { item } = shown(entry({ elapsed: 72, expected: 190 }));
  const bar = () => Number(item().querySelector("[role=progressbar]")!.getAttribute("aria-valuenow"));
  expect(item().textContent).toContain("Generating · 1:12 · about 2 min left");
  expect(bar()).toBe(38);
  await pass(3_000);
  expect(item().textContent).toContain("Generating · 1:15 · about 2 min left");
  await pass(116_000);
  expect(item().textContent).toContain("3:11 · a few seconds left");
  await pass(40_000);
  expect(item().textContent).toContain("3:51 · longer than usual");
  expect(bar()).toBe(97);
});

test("the kernel's word on elapsed time wins over our counting", async () => {
  const made = entry({ elapsed: 10, expected: null });
  const { item } = shown(made);
  await pass(5_000);
  expect(item().textContent).toContain("0:15");
  model.set("entries", [{ ...made, elapsed: 12 }]);
  await pass(0);
  expect(item().textContent).toContain("0:12");
});

test.each<[string, Partial<Entry>, string[]]>([
  ["under way", {}, ["Stop watching"]],
  ["stopped", { status: "stopped", active: false }, ["Watch again", "Use these settings"]],
  ["unknown", { status: "unknown", active: false }, ["Check again", "Submit again"]],
  ["unknown, being looked up", { status: "unknown", active: true }, ["Check again", "Submit again"]],
  ["rejected", { status: "rejected", active: false }, ["Use these settings"]],
  ["failed", { status: "error", active: false }, ["Use these settings"]],
])("%s: what can be done", async (_, changes, expected) => {
  expect(shown(entry(changes)).buttons()).toEqual(expected);
});

test("done: what can be done", async () => {
  expect(shown(ready()).buttons()).toEqual(["Continue", "Use these settings", "Download", "Copy as PythonInsert into notebook"]);
});

test.each([
  ["Stop watching", "stop", {}],
  ["Watch again", "watch", { status: "stopped", active: false }],
  ["Check again", "check", { status: "unknown", active: false }],
  ["Use these settings", "use", { status: "error", active: false }],
  ["Continue", "continue", { status: "completed", active: false }],
] as const)("%s sends %s with the entry's key", async (name, type, changes) => {
  const { press } = shown(entry({ key: "k1", ...changes }));
  press(name);
  expect(model.of(type)).toMatchObject([{ key: "k1" }]);
});

test("submitting again takes two presses, and a double click is not two", async () => {
  const { press, item, ui } = shown(entry({ key: "k1", status: "unknown", active: false }));
  press("Submit again");
  await pass(0);
  press("Yes, submit again");
  await pass(100);
  expect(item().textContent).toContain("It may be paid twice.");
  press("Yes, submit again");
  expect(model.of("resubmit")).toHaveLength(0);
  await pass(700);
  press("Yes, submit again");
  expect(model.of("resubmit")).toMatchObject([{ key: "k1" }]);
  await until(() => ui.queryByRole("button", { name: "Submit again" }));
});

test("why not is told in words, with what to do next", async () => {
  const { item } = shown(
    entry({ status: "error", text: "Not made", active: false, problem: "blocked by the content filter.", hint: "Not charged." }),
  );
  expect(item().textContent).toContain("Not made: blocked by the content filter. Not charged.");
  model.set("entries", [entry({ status: "unknown", text: "Checking", active: false, problem: "It may have been accepted." })]);
  await until(() => item().textContent!.includes("It may have been accepted."));
  expect(item().textContent).not.toContain("Checking");
  model.set("entries", [entry({ status: "unknown", text: "Checking", elapsed: 9, expected: null })]);
  await until(() => item().textContent!.includes("Checking · 0:09"));
  expect(item().className).not.toContain("kw-failed");
});

test("a finished one says how long, how it was set, which take, how long it took", async () => {
  const { item } = shown(ready({ cfg_scale: 0.8, camera: "zoom 5", take: 2, elapsed: 178 }));
  expect(item().textContent).toContain("Ready · 5 s · CFG 0.8 · zoom 5 · take 2 · 2:58");
  model.set("entries", [ready({ cfg_scale: 0.5, elapsed: 178 })]); // which goes without saying
  await until(() => item().textContent!.includes("Ready · 5 s · 2:58"));
});

test("a change of status is announced, the ticking is not", async () => {
  const made = entry({ prompt: `Night launch${" over the sea".repeat(9)}` });
  const { el } = shown(made);
  const live = () => el.querySelector("[aria-live=polite]")!.textContent;
  await pass(3_000);
  expect(live()).toBe("");
  model.set("entries", [{ ...made, elapsed: 80 }]);
  await pass(0);
  expect(live()).toBe("");
  model.set("entries", [{ ...made, status: "completed", text: "Ready", active: false }]);
  await pass(0);
  expect(live()).toBe("Ready: Night launch over the sea over the sea over the sea over the");
});

test("the preview is asked for once, and again when the poster is there", async () => {
  model.kernel = (message) => {
    model.hear("ack", { re: message.id });
    if (message.type !== "preview") return;
    model.hear("preview", { re: message.id, key: message.key, media_type: "image/jpeg" }, new ArrayBuffer(4));
  };
  const made = entry({ key: "k1" });
  const { item } = shown(made);
  await pass(100);
  await until(() => item().querySelector(".kw-wait img"));
  model.set("entries", [{ ...made, elapsed: 99 }]);
  await pass(2_000);
  expect(model.of("preview")).toHaveLength(1);
  model.set("entries", [ready({ key: "k1" })]);
  await pass(100);
  expect(model.of("preview")).toHaveLength(2);
});

test("where the host serves files the video plays from there", async () => {
  model.widget_manager = { resolveUrl: async (url) => `http://localhost:3000/files/${url}` };
  const { press, item } = shown(ready());
  press("Play");
  await pass(100);
  await until(() => item().querySelector("video"));
  const video = item().querySelector("video")!;
  expect(video.getAttribute("src")).toBe("http://localhost:3000/files/kling_videos/videos/a.mp4");
  expect([video.controls, video.loop, video.muted, video.autoplay]).toEqual([true, true, true, true]);
  expect(model.of("video")).toHaveLength(0);
});

test.each([
  ["the host has no files", undefined, "a.mp4"],
  ["the kernel says it can't be served", async (url: string) => url, null],
  ["the host does not know the file", async () => Promise.reject(new Error("404")), "a.mp4"],
  ["the address is a script", async () => "javascript:alert(1)", "a.mp4"],
  ["the address is a page in itself", async () => "data:text/html,<script>alert(1)</script>", "a.mp4"],
  ["the address is another scheme", async () => "file:///etc/passwd", "a.mp4"],
])("%s: the video plays from its bytes", async (_, resolveUrl, url) => {
  const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const made = vi.spyOn(URL, "createObjectURL");
  model.kernel = serving(bytes);
  if (resolveUrl) model.widget_manager = { resolveUrl };
  const done = ready();
  const { press, item } = shown({ ...done, video: { ...done.video!, url } });
  press("Play");
  await pass(100);
  await until(() => item().querySelector("video"));
  expect(item().querySelector("video")!.getAttribute("src")).toMatch(/^blob:/);
  expect(model.of("video").map(({ offset }) => offset)).toEqual([0, 4, 8]);
  const blob = made.mock.calls.at(-1)![0] as Blob;
  expect(new Uint8Array(await blob.arrayBuffer())).toEqual(bytes);
});

/** These bytes as a view in the middle of a larger buffer, as in the frame of a websocket. */
function amid<View>(kind: new (buffer: ArrayBuffer, offset: number, length: number) => View) {
  return (buffer: ArrayBuffer) => {
    const frame = new Uint8Array(buffer.byteLength + 5).fill(255);
    frame.set(new Uint8Array(buffer), 3);
    return new kind(frame.buffer, 3, buffer.byteLength);
  };
}

test.each([
  ["Jupyter and VS Code: a DataView", amid(DataView<ArrayBuffer>)],
  ["Colab: a Uint8Array", amid(Uint8Array<ArrayBuffer>)],
  ["others: an ArrayBuffer", (buffer: ArrayBuffer) => buffer],
])("%s holds the video's bytes", async (_, handedOver) => {
  const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const made = vi.spyOn(URL, "createObjectURL");
  model.kernel = serving(bytes);
  model.handedOver = handedOver;
  const { press, item } = shown(ready());
  press("Play");
  await pass(100);
  await until(() => item().querySelector("video"));
  const blob = made.mock.calls.at(-1)![0] as Blob;
  expect(new Uint8Array(await blob.arrayBuffer())).toEqual(bytes);
});

test("a served video that does not load is fetched by its bytes; if that fails too, a sentence says where it is", async () => {
  model.widget_manager = { resolveUrl: async (url) => `http://localhost:3000/files/${url}` };
  const { press, item } = shown(ready());
  press("Play");
  await pass(100);
  await until(() => item().querySelector("video"));
  model.kernel = serving(new Uint8Array(0));
  item().querySelector("video")!.dispatchEvent(new Event("error"));
  await until(() => item().textContent!.includes("The video cannot be played here. It is saved as kling_videos/videos/a.mp4."));
});

test("a piece of video whose answer is lost is asked for again", async () => {
  const serve = serving(new Uint8Array([1, 2, 3]));
  let lost = 0;
  model.kernel = (message) =>
    message.type === "video" && !lost++ ? model.hear("ack", { re: message.id }) : serve(message);
  const { press, item } = shown(ready());
  press("Play");
  await pass(10_100);
  await until(() => item().querySelector("video"));
  expect(model.of("video")).toHaveLength(2);
});

test("two views ask for the same video: each hears only its own answers", async () => {
  model.kernel = (message) => model.hear("ack", { re: message.id });
  const one = shown(ready());
  const two = show(model);
  one.press("Play");
  two.ui.getByRole("button", { name: "Play" }).click();
  await until(() => model.of("video").length === 2);
  const { id: re, key, offset } = model.of("video")[1]!;
  model.hear("video", { re, key, offset, size: 3 }, new ArrayBuffer(3));
  await until(() => two.el.querySelector("video"));
  await pass(100);
  expect(one.el.querySelector("video")).toBeNull();
});

test("Download is a link to the served file, else fetches the bytes when it is pressed", async () => {
  model.kernel = serving(new Uint8Array([1, 2, 3]));
  const { ui } = shown(ready());
  await pass(100);
  const link = () => ui.getByRole("link") as HTMLAnchorElement;
  expect(link().getAttribute("download")).toBe("a.mp4");
  const clicks: string[] = [];
  link().addEventListener("click", () => clicks.push(link().getAttribute("href")!));
  link().click();
  await until(() => link().getAttribute("href")!.startsWith("blob:"));
  await until(() => clicks.length === 2);
  await pass(1_000);
  expect(clicks).toHaveLength(2);
  expect(clicks[1]).toMatch(/^blob:/);
});

test("Insert into notebook hands the kernel's Python to whoever is around the widget", async () => {
  model.kernel = (message) => {
    model.hear("ack", { re: message.id });
    if (message.type === "source") model.hear("source", { re: message.id, key: message.key, text: "video = 1" });
  };
  const { el, press } = shown(ready({ key: "k1" }));
  const write = vi.spyOn(navigator.clipboard, "writeText");
  const heard: string[] = [];
  const take = (event: Event) => {
    event.preventDefault();
    heard.push((event as CustomEvent<string>).detail);
  };
  el.parentElement!.addEventListener("kling-widget:insert", take, { once: true }); // which is the page of the next test
  press(/Insert into notebook/);
  await until(() => heard.length);
  expect(heard).toEqual(["video = 1"]);
  expect(model.of("source").map(({ key }) => key)).toEqual(["k1"]);
  await pass(100);
  expect(write).not.toHaveBeenCalled();
});

test("where nobody takes it, the Python is copied, or there to be copied by hand", async () => {
  model.kernel = (message) => {
    model.hear("ack", { re: message.id });
    if (message.type === "source") model.hear("source", { re: message.id, key: message.key, text: "video = 1" });
  };
  const { press, ui } = shown(ready());
  const write = vi.spyOn(navigator.clipboard, "writeText").mockRejectedValueOnce(new Error("no")).mockResolvedValue();
  press(/Copy as Python/);
  await until(() => ui.queryByText("video = 1"));
  press(/Copy as Python/);
  await until(() => ui.queryByText("Copied."));
  expect(ui.queryByText("video = 1")).toBeNull();
  expect(write.mock.calls).toEqual([["video = 1"], ["video = 1"]]);
});

test("a video that plays far down the list plays on when one more is made", async () => {
  const { ui, el } = shown(...Array.from({ length: 59 }, () => ready()));
  model.kernel = serving(new Uint8Array([1, 2, 3]));
  ui.getAllByRole("button", { name: "Play" })[19]!.click();
  await until(() => el.querySelector("video"));
  const video = el.querySelector("video");
  const focus = document.activeElement;
  model.set("entries", [entry(), ...model.get("entries")]);
  await until(() => ui.getAllByRole("listitem").length === 60);
  expect(el.querySelector("video")).toBe(video);
  expect(document.activeElement).toBe(focus);
  expect(el.contains(focus)).toBe(true);
});

test("presses while it is thought about do not cut a later thought short", async () => {
  const { press } = shown(entry({ status: "unknown", active: false }));
  press("Submit again");
  await pass(100);
  press("Yes, submit again");
  await pass(500);
  press("Yes, submit again"); // within the 700 ms since the first one
  await pass(150);
  press("Yes, submit again"); // sure now
  await pass(0);
  expect(model.of("resubmit")).toHaveLength(1);
  press("Submit again");
  await pass(500); // whatever was pressed above
  press("Yes, submit again");
  expect(model.of("resubmit")).toHaveLength(1);
});

test("the video that is loaded leaves the focus where it is by then", async () => {
  let load = (_: string): void => {};
  model.widget_manager = { resolveUrl: () => new Promise((resolve) => (load = resolve)) };
  const { press, item, ui } = shown(ready());
  press("Play");
  await pass(100);
  expect(document.activeElement).toBe(ui.getByRole("button", { name: "Close the video" }));
  const prompt = ui.getByRole("textbox", { name: "Prompt" });
  prompt.focus();
  load("http://localhost:3000/files/a.mp4");
  await until(() => item().querySelector("video"));
  await pass(100);
  expect(document.activeElement).toBe(prompt);
});
