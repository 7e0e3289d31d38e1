import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CHUNK } from "../src/upload";
import { FakeModel, Receiver, type Sent, type SentOf, frame } from "./fake";
import { choose, pass, picture, show, until } from "./page";

let model: FakeModel;
let receiver: Receiver;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
  receiver = new Receiver(model);
});
afterEach(() => vi.unstubAllGlobals());

function chunks(): SentOf<"upload">[] {
  return model.of("upload");
}

function kernel(upload: (message: SentOf<"upload">) => void): void {
  model.kernel = (message: Sent) =>
    message.type === "upload" ? upload(message) : model.hear("ack", { re: message.id });
}

async function sha256(bytes: Uint8Array | ArrayBuffer): Promise<string> {
  return createHash("sha256").update(new Uint8Array(bytes)).digest("hex");
}

test("a large picture arrives byte for byte, in hashed chunks of at most 512 KB", async () => {
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  const file = picture(CHUNK * 7 + 123);
  choose(ui.getByLabelText("First frame"), file);
  await until(() => ui.queryByText("Reading…"));
  const arrived = receiver.file(chunks()[0]!.upload);
  expect(await sha256(arrived)).toBe(await sha256(await file.arrayBuffer()));
  expect(chunks()).toHaveLength(8);
  for (const { buffer, sha256: told, size, slot, name, media_type } of chunks()) {
    expect(buffer!.byteLength).toBeLessThanOrEqual(512 * 1000);
    expect(told).toBe(await sha256(buffer!));
    expect({ size, slot, name, media_type }).toEqual({
      size: file.size,
      slot: "first_frame",
      name: "cat.jpg",
      media_type: "image/jpeg",
    });
  }
});

test("progress shows in percent, and the slot goes quiet when the frame is there", async () => {
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 4));
  await until(() => held.length === 1);
  receiver.take(held.shift()!);
  await until(() => ui.queryByText("25 %"));
  await until(() => held.length === 3);
  for (const message of held.splice(0)) receiver.take(message);
  await until(() => ui.queryByText("Reading…"));
  model.set("first_frame", frame());
  await until(() => ui.queryByText("640 × 427"));
  expect(ui.queryByText("Reading…")).toBeNull();
});

test("one chunk goes first, then never more than four are on their way", async () => {
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 9));
  await until(() => held.length === 1);
  await pass(10);
  expect(held).toHaveLength(1);
  receiver.take(held.shift()!);
  await until(() => held.length === 4);
  await pass(10);
  expect(held).toHaveLength(4);
});

test("a lost chunk is sent again", async () => {
  let lost = 0;
  kernel((message) => {
    if (message.offset === CHUNK * 2 && !lost++) return;
    receiver.take(message);
  });
  const { ui } = show(model);
  const file = picture(CHUNK * 5);
  choose(ui.getByLabelText("Last frame"), file);
  await until(() => chunks().length === 5);
  await pass(4_000);
  expect(chunks()).toHaveLength(5);
  await pass(2_500);
  await until(() => ui.queryByText("Reading…"));
  expect(chunks().filter(({ offset }) => offset === CHUNK * 2)).toHaveLength(2);
  expect(await sha256(receiver.file(chunks()[0]!.upload))).toBe(await sha256(await file.arrayBuffer()));
});

test("a chunk whose answer was lost is sent again, though it was acknowledged", async () => {
  let lost = 0;
  kernel((message) => {
    if (!lost++) return model.hear("ack", { re: message.id });
    receiver.take(message);
  });
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => chunks().length === 1);
  await pass(6_500);
  await until(() => ui.queryByText("Reading…"));
  expect(chunks()).toHaveLength(2);
});

test("a damaged chunk is sent again at once, and after five damages a sentence says so", async () => {
  let damages = 2;
  kernel((message) => {
    if (damages-- <= 0) return receiver.take(message);
    const { id: re, upload, offset } = message;
    model.hear("received", { re, upload, received: 0, offset, ok: false });
  });
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(100));
  await until(() => ui.queryByText("Reading…"));
  expect(chunks()).toHaveLength(3);
  damages = 99;
  choose(ui.getByLabelText("First frame"), picture(100));
  await until(() => ui.queryByRole("alert"));
  expect(ui.getByRole("alert").textContent).toContain("cat.jpg did not arrive intact. Choose it again.");
  expect(chunks()).toHaveLength(8);
});

test("while the kernel is silent nothing piles up: one chunk is tried again, less and less often", async () => {
  let busy = true;
  const times: number[] = [];
  kernel((message) => {
    times.push(performance.now());
    if (!busy) receiver.take(message);
  });
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 6));
  await until(() => chunks().length === 1);
  await pass(4_900);
  expect(ui.queryByText("Waiting for the running cell…")).toBeNull(); // on a slow line a chunk takes its time
  await pass(100);
  await until(() => ui.queryByText("Waiting for the running cell…"));
  for (let tries = 2; tries <= 5; tries += 1) {
    for (let second = 0; second < 32 && chunks().length < tries; second += 1) await pass(1_000);
    await until(() => times.length === tries);
  }
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  expect(gaps[0]).toBeGreaterThanOrEqual(5_000);
  expect(gaps[1]).toBeGreaterThanOrEqual(10_000);
  expect(gaps[2]).toBeGreaterThanOrEqual(20_000);
  expect(gaps[3]).toBeGreaterThanOrEqual(30_000);
  expect(new Set(chunks().map(({ offset }) => offset))).toEqual(new Set([0]));
  busy = false;
  for (const message of chunks()) receiver.take(message);
  await until(() => ui.queryByText("Reading…"));
  expect(ui.queryByText("Waiting for the running cell…")).toBeNull();
});

test("a kernel that falls silent midway gets one chunk at a time again", async () => {
  kernel((message) => {
    if (message.offset === 0) receiver.take(message);
  });
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 6));
  await until(() => chunks().length === 5);
  await pass(6_000);
  await until(() => chunks().length === 6);
  await pass(3_000);
  expect(chunks().slice(5).map(({ offset }) => offset)).toEqual([CHUNK]);
});

test("a new pick drops the old upload", async () => {
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 6, "old.jpg"));
  await until(() => held.length === 1);
  choose(ui.getByLabelText("First frame"), picture(50, "new.jpg"));
  await until(() => held.length === 2);
  receiver.take(held[0]!);
  await pass(20_000);
  expect(chunks().filter(({ name }) => name === "old.jpg")).toHaveLength(1);
  receiver.take(held[1]!);
  await until(() => ui.queryByText("Reading…"));
});

test("without crypto.subtle (plain http) chunks go without a hash", async () => {
  vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => ui.queryByText("Reading…"));
  expect(chunks()[0]!.sha256).toBeNull();
});

test("an empty file is refused at once, in a sentence, and nothing is sent", async () => {
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(0, "nothing.png", "image/png"));
  await until(() => ui.queryByRole("alert"));
  expect(ui.getByRole("alert").textContent).toContain("nothing.png is empty.");
  expect(ui.getByLabelText("First frame").getAttribute("aria-invalid")).toBe("true");
  expect(model.sent).toHaveLength(0);
});

test("a file the kernel refuses leaves the slot as it was, with the kernel's sentence", async () => {
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10, "notes.png", "image/png"));
  await until(() => ui.queryByText("Reading…"));
  model.set("problems", [{ field: "first_frame", text: "notes.png is not a picture." }]);
  await until(() => ui.queryByRole("alert"));
  expect(ui.getByRole("alert").textContent).toContain("notes.png is not a picture.");
  expect(ui.queryByText("Remove first frame")).toBeNull();
});

test("the same refusal twice is no change of the trait, and still the slot does not read for ever", async () => {
  model.set("problems", [{ field: "first_frame", text: "notes.png is not a picture." }]);
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10, "notes.png", "image/png"));
  await until(() => ui.queryByText("Reading…"));
  expect(ui.queryByRole("alert")).toBeNull();
  model.hear("uploaded", { upload: chunks()[0]!.upload, slot: "first_frame" });
  await until(() => ui.queryByRole("alert"));
  expect(ui.queryByText("Reading…")).toBeNull();
});

test("the picture that is already there is not sent again", async () => {
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  const file = picture(10);
  choose(ui.getByLabelText("First frame"), file);
  await until(() => ui.queryByText("Reading…"));
  model.set("first_frame", frame());
  await until(() => ui.queryByText("640 × 427"));
  choose(ui.getByLabelText("First frame"), file);
  await pass(1_000);
  expect(chunks()).toHaveLength(1);
  expect(ui.queryByText("640 × 427")).not.toBeNull();
  choose(ui.getByLabelText("First frame"), picture(11));
  await until(() => chunks().length === 2);
});

test("on a Jupyter server's page chunks grow while answers come fast, to 4 MB and no more", async () => {
  document.body.insertAdjacentHTML("beforeend", '<script id="jupyter-config-data" type="application/json">{}</script>');
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  const file = picture(30_000_000);
  const read: [number, number][] = []; // what was read, and how many chunks were sent by then
  const slice = file.slice.bind(file);
  vi.spyOn(file, "slice").mockImplementation((start, end) => {
    read.push([start!, chunks().length]);
    return slice(start, end);
  });
  choose(ui.getByLabelText("First frame"), file);
  await until(() => ui.queryByText("Reading…"));
  document.getElementById("jupyter-config-data")!.remove();
  const sizes = chunks().map(({ buffer }) => buffer!.byteLength);
  expect(sizes[0]).toBeLessThanOrEqual(512 * 1000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4_000_000);
  expect(Math.max(...sizes)).toBeGreaterThan(3_000_000);
  expect(sizes.length).toBeLessThan(11);
  expect(read.slice(1).every(([, sent]) => sent === 1)).toBe(true); // all the rest while the first was on its way
  expect(new Set(read.map(([start]) => start)).size).toBe(read.length); // and nothing twice
  expect(await sha256(receiver.file(chunks()[0]!.upload))).toBe(await sha256(await file.arrayBuffer()));
});

test("on a slow line chunks stay small, so that progress is seen", async () => {
  document.body.insertAdjacentHTML("beforeend", '<script id="jupyter-config-data" type="application/json">{}</script>');
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(CHUNK * 6));
  for (let answered = 0; answered < 6; answered += 1) {
    await until(() => held.length);
    await pass(400);
    receiver.take(held.shift()!);
  }
  await until(() => ui.queryByText("Reading…"));
  document.getElementById("jupyter-config-data")!.remove();
  expect(chunks().map(({ buffer }) => buffer!.byteLength)).toEqual(Array(6).fill(CHUNK));
});

test("no more is on its way than the line carried before, so that it isn't clogged for the rest of the notebook", async () => {
  document.body.insertAdjacentHTML("beforeend", '<script id="jupyter-config-data" type="application/json">{}</script>');
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(30_000_000));
  await until(() => held.length);
  await pass(250); // 2 MB a second
  receiver.take(held.shift()!);
  await until(() => held.length === 3);
  await pass(50);
  document.getElementById("jupyter-config-data")!.remove();
  const sizes = held.map(({ buffer }) => buffer!.byteLength);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(3_000_000); // a second and a half
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(10_000_000); // what takes five seconds
});

test("a large picture is drawn after its first two seconds, so that drawing it doesn't hold up sending it", async () => {
  kernel(() => {});
  const { ui, el } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10_000_001));
  await until(() => ui.queryByRole("progressbar"));
  expect(el.querySelector("[data-slot=first_frame] img")).toBeNull();
  await pass(2_100);
  expect(el.querySelector("[data-slot=first_frame] img")).not.toBeNull();
});
