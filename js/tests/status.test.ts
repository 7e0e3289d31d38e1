import { expect, test } from "vitest";
import { safe } from "../src/media";
import { clock, details, left, progress } from "../src/status";
import { entry, ready } from "./fake";

test.each([
  [0, "0:00"],
  [72.9, "1:12"],
  [600, "10:00"],
  [3723, "1:02:03"],
])("%d s reads %s", (seconds, text) => expect(clock(seconds)).toBe(text));

test.each([
  [10, null, null, null],
  [0, 190, 230, "about 3 min left"],
  [72, 190, 230, "about 2 min left"],
  [131, 190, 230, "about 1 min left"],
  [150, 190, 230, "about 40 s left"],
  [183, 190, 230, "about 5 s left"],
  [187, 190, 230, "a few seconds left"],
  [229, 190, 230, "a few seconds left"],
  [231, 190, 230, "longer than usual"],
])("%d s of %s, late after %s: %s", (elapsed, expected, late, text) => expect(left(elapsed, expected, late)).toBe(text));

test("a bar is never full before the video is there", () => {
  expect(progress(95, 190)).toBe(0.5);
  expect(progress(1000, 190)).toBe(0.97);
  expect(progress(1, null)).toBeNull();
});

test.each([
  "javascript:alert(1)",
  " JavaScript:alert(1)",
  "data:text/html,x",
  "data:video/mp4;base64,AA",
  "file:///a",
  "vbscript:x",
  "http://[",
  "blob:http://localhost/1",
  "https://vendor@evil.example/a.mp4",
])("%s is refused", (url) => expect(safe(url)).toBeNull());

test.each(["https://example.org/a.mp4", "http://localhost:8888/files/a.mp4?_xsrf=1", "files/a b.mp4"])(
  "%s is allowed",
  (url) => expect(safe(url)).not.toBeNull(),
);

test("a finished clip says what it cost, once that is known; one being made does not", () => {
  expect(details(ready({ take: 2, cost: "$0.66" }), 178, false)).toBe("5 s · take 2 · 2:58 · $0.66");
  expect(details(ready({ cost: null }), 178, false)).toBe("5 s · 2:58");
  expect(details(entry({ cost: "$0.66" }), 72, false)).toBe("1:12 · about 2 min left");
});
