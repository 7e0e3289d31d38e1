import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeModel, Receiver, type Sent, type SentOf, frame } from "./fake";
import { carrying, choose, pass, picture, show, until } from "./page";

let model: FakeModel;
let receiver: Receiver;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
  receiver = new Receiver(model);
});
afterEach(() => vi.unstubAllGlobals());

function kernel(upload: (message: SentOf<"upload">) => void): void {
  model.kernel = (message: Sent) =>
    message.type === "upload" ? upload(message) : model.hear("ack", { re: message.id });
}

test("Generate waits for a picture on its way, then goes once", async () => {
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => held.length === 1);
  ui.getByRole("button", { name: "Generate" }).click();
  await until(() => ui.queryByText("Starts when the picture is in"));
  expect(model.of("generate")).toHaveLength(0);
  receiver.take(held[0]!);
  await pass(100);
  expect(model.of("generate")).toHaveLength(0);
  model.set("first_frame", frame());
  await until(() => model.of("generate").length === 1);
});

test("Generate pressed for a picture that is then refused does not go", async () => {
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  ui.getByRole("button", { name: "Generate" }).click();
  await until(() => ui.queryByText("Reading…"));
  model.set("problems", [{ field: "first_frame", text: "cat.jpg is not a picture." }]);
  await until(() => ui.queryByRole("alert"));
  expect(model.of("generate")).toHaveLength(0);
});

test("a picture far over the limit is offered smaller, a small one is not", async () => {
  kernel(() => {});
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => ui.queryByText("0 %"));
  expect(ui.queryByRole("button", { name: "Send a smaller copy" })).toBeNull();
  choose(ui.getByLabelText("First frame"), picture(10_000_001));
  await until(() => ui.queryByRole("button", { name: "Send a smaller copy" }));
});

test("a smaller copy goes in place of the original; where the browser cannot read the picture, the original goes on", async () => {
  kernel(() => {});
  const { ui } = show(model);
  vi.stubGlobal("createImageBitmap", () => Promise.reject(new Error("HEIC")));
  choose(ui.getByLabelText("First frame"), picture(10_000_001, "big.heic"));
  await until(() => ui.queryByRole("button", { name: "Send a smaller copy" }));
  ui.getByRole("button", { name: "Send a smaller copy" }).click();
  await until(() => ui.queryByText(/so the original is sent/));
  expect(ui.queryByText("0 %")).not.toBeNull();

  vi.stubGlobal("createImageBitmap", async () => ({ width: 7680, height: 4320, close: () => {} }));
  const drawn: number[] = [];
  const context = { fillRect: () => {}, drawImage: (...all: number[]) => drawn.push(...all.slice(3)) };
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(context as never);
  vi.spyOn(HTMLCanvasElement.prototype, "toBlob").mockImplementation(function (done, type, quality) {
    expect([type, quality]).toEqual(["image/jpeg", 0.92]);
    done(new Blob([new Uint8Array(77)], { type: "image/jpeg" }));
  });
  choose(ui.getByLabelText("First frame"), picture(10_000_001, "big.png"));
  await until(() => ui.queryByRole("button", { name: "Send a smaller copy" }));
  ui.getByRole("button", { name: "Send a smaller copy" }).click();
  await until(() => model.of("upload").some(({ name, size }) => name === "big.jpg" && size === 77));
  expect(drawn).toEqual([3840, 2160]);
});

test("nothing more of the original is sent while a smaller copy is being made", async () => {
  kernel((message) => receiver.take(message));
  const { ui } = show(model);
  let fail = (_: Error): void => {};
  vi.stubGlobal("createImageBitmap", () => new Promise((_, reject) => (fail = reject)));
  model.kernel = () => {}; // the first chunk is on its way, and nobody has answered yet
  choose(ui.getByLabelText("First frame"), picture(10_000_001, "big.png"));
  await until(() => ui.queryByRole("button", { name: "Send a smaller copy" }));
  ui.getByRole("button", { name: "Send a smaller copy" }).click();
  await until(() => model.of("upload").length);
  kernel((message) => receiver.take(message));
  receiver.take(model.of("upload")[0]!);
  await pass(60_000);
  expect(model.of("upload")).toHaveLength(1);
  fail(new Error("HEIC"));
  await until(() => ui.queryByText("Reading…"));
});

test.each([
  ["removed", (ui: ReturnType<typeof show>["ui"]) => ui.getByRole("button", { name: "Remove last frame" }).click()],
  [
    "given as an address",
    (ui: ReturnType<typeof show>["ui"]) => {
      const slot = ui.getByLabelText("Last frame").closest("[data-slot]")!;
      slot.dispatchEvent(carrying("drop", [], { "text/uri-list": "https://example.org/cat.png" }));
    },
  ],
  ["another one that cannot be sent", (ui) => choose(ui.getByLabelText("Last frame"), picture(0))],
])("a picture that Generate waits for and that is %s calls the press off", async (_, act) => {
  model = new FakeModel({ first_frame: frame() });
  kernel(() => {});
  const { ui } = show(model);
  choose(ui.getByLabelText("Last frame"), picture(10));
  ui.getByRole("button", { name: "Generate" }).click();
  await until(() => ui.queryByText("Starts when the picture is in"));
  act(ui);
  await pass(5_000);
  expect(model.of("generate")).toHaveLength(0);
  expect(ui.queryByText("Starts when the picture is in")).toBeNull();
  ui.getByRole("button", { name: "Generate" }).click();
  expect(model.of("generate")).toHaveLength(1);
});

test("a picture that is replaced while Generate waits for it is waited for as well", async () => {
  const held: SentOf<"upload">[] = [];
  kernel((message) => held.push(message));
  const { ui } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => held.length === 1);
  ui.getByRole("button", { name: "Generate" }).click();
  choose(ui.getByLabelText("First frame"), picture(11));
  await until(() => held.length === 2);
  receiver.take(held[1]!);
  await until(() => ui.queryByText("Reading…"));
  model.set("first_frame", frame());
  await until(() => model.of("generate").length === 1);
});

test("a picture that is not read within a minute has failed: what is shown is what the kernel has, and nothing is sent", async () => {
  model = new FakeModel({ first_frame: frame() });
  receiver = new Receiver(model);
  kernel((message) => receiver.take(message));
  const { ui, el } = show(model);
  choose(ui.getByLabelText("First frame"), picture(10));
  await until(() => ui.queryByText("Reading…"));
  expect(el.querySelector("[data-slot=first_frame] > img")).not.toBeNull();
  ui.getByRole("button", { name: "Generate" }).click();
  await pass(60_100);
  expect(ui.getByRole("alert").textContent).toContain("cat.jpg did not arrive intact. Choose it again.");
  expect(ui.queryByText("Reading…")).toBeNull();
  expect(ui.queryByText("640 × 427")).not.toBeNull();
  expect(el.querySelector("[data-slot=first_frame] > img")).toBeNull(); // the other one's comes from the kernel
  expect(model.of("generate")).toHaveLength(0);
  expect(model.of("remove")).toHaveLength(0);
});
