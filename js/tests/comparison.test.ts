import { beforeEach, expect, test } from "vitest";
import type { Entry } from "../src/model";
import { FakeModel, entry, ready } from "./fake";
import { show, until } from "./page";

let model: FakeModel;
beforeEach(() => {
  model = new FakeModel();
  model.kernel = (message) => {
    model.hear("ack", { re: message.id });
    if (message.type === "video") {
      const { id: re, key, offset } = message;
      model.hear("video", { re, key, offset, size: 4 }, new ArrayBuffer(4));
    }
  };
});

function shown(...entries: Entry[]) {
  model.set("entries", entries);
  const { ui } = show(model);
  const row = (prompt: string) => ui.getAllByRole("listitem").find((item) => item.textContent!.includes(prompt))!;
  const button = (prompt: string) => [...row(prompt).querySelectorAll("button")].find((each) => each.textContent === "Compare");
  const press = async (prompt: string) => {
    const before = button(prompt)!.getAttribute("aria-pressed");
    button(prompt)!.click();
    await until(() => button(prompt)!.getAttribute("aria-pressed") !== before);
  };
  const compared = () => {
    const place = ui.queryByRole("region", { name: "Comparison" });
    return place && [...place.querySelectorAll("video")].map((video) => video.getAttribute("aria-label"));
  };
  return { ui, row, button, press, compared };
}

const clip = (key: string, changes: Partial<Entry> = {}) => ready({ key, prompt: `clip ${key}`, ...changes });

test("there is nothing to compare one video with", () => {
  const { button } = shown(clip("a"), entry({ key: "b", prompt: "still being made" }));
  expect(button("clip a")).toBeUndefined();
});

test("two chosen videos stand beside each other, and the longest has the controls", async () => {
  const { ui, row, button, press, compared } = shown(clip("a"), clip("b", { duration: 10 }), clip("c"));
  await press("clip a");
  expect(row("clip a").textContent).toContain("Choose another one.");
  expect(compared()).toBeNull();
  await press("clip b");
  await until(() => compared()?.length === 2);
  expect(compared()).toEqual(["clip a", "clip b"]);
  expect(ui.getByText("2 videos are compared above the list.")).toBeTruthy();
  expect(ui.queryByText("Choose another one.")).toBeNull();
  const place = ui.getByRole("region", { name: "Comparison" });
  expect([...place.querySelectorAll("video")].map((video) => video.controls)).toEqual([false, true]);
  expect(place.textContent).toContain("10 s");
  ui.getByRole("button", { name: "Close the comparison" }).click();
  await until(() => compared() === null);
  expect(document.activeElement).toBe(button("clip a"));
});

test("a video that is no longer in the list is no longer compared, and of five the first leaves", async () => {
  const all = ["a", "b", "c", "d", "e"].map((key) => clip(key));
  const { press, compared } = shown(...all);
  for (const key of ["a", "b", "c", "d", "e"]) await press(`clip ${key}`);
  await until(() => compared()?.length === 4);
  expect(compared()).toEqual(["clip b", "clip c", "clip d", "clip e"]);
  model.set("entries", all.slice(0, 2));
  await until(() => compared() === null);
});
