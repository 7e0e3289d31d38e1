import chelsea from "../../notebooks/images/chelsea.png";
import coffee from "../../notebooks/images/coffee.png";
import rocket from "../../notebooks/images/rocket.jpg";
import widget from "../src/index";
import { FakeModel, entry, frame, ready } from "../tests/fake";

const asked = new URLSearchParams(location.search);
for (const name of asked.keys()) document.documentElement.classList.add(name);

const prompt = "The rocket clears the tower, camera tilts up slowly, smoke rolls towards us";
const sim = asked.has("sim");
const model = new FakeModel({
  prompt: asked.has("empty") ? "" : prompt,
  negative_prompt: asked.has("faults") ? "blur, text" : "",
  first_frame: asked.has("empty") ? null : frame(),
  simulated: sim,
  estimate: sim ? "free · about 8 s" : "ready in about 3 min",
  entries: [
    entry({ key: "rocket", prompt }),
    ready({ key: "coffee", prompt: "Steam curls from the cup, slow dolly in", take: 2 }),
    entry({
      key: "chelsea",
      prompt: "The cat yawns and looks away",
      status: "error",
      text: "Not made",
      problem: "blocked by the content filter.",
      hint: "Not charged.",
      active: false,
    }),
    entry({ key: "rocket", prompt: "Lift-off seen from the gantry", status: "queued", text: "Queued", elapsed: 4, expected: null }),
    entry({ key: "rocket", prompt: "Night launch, long exposure", elapsed: 300 }),
    entry({ key: "coffee", prompt: "Pour over", status: "stopped", text: "Not being watched", hint: "The vendor goes on with it.", active: false }),
    entry({
      key: "coffee",
      prompt: "Latte art turns into a galaxy",
      status: "unknown",
      text: "Checking whether it was accepted",
      problem: "It may have been accepted: the connection broke while it was being sent.",
      hint: "Check again in a minute; submitting again may be paid twice.",
      active: false,
    }),
  ].map((made, i) => ({ ...made, key: `${made.key}-${i}` })),
});

if (asked.has("faults")) {
  model.set("first_frame", frame({ width: 212, height: 180, changes: ["Turned upright."], warnings: ["212 × 180 px is below the 300 px the model needs."] }));
  model.set("problems", [
    { field: "first_frame", text: "212 × 180 px is below the 300 px the model needs.", anyway: true },
    { field: "last_frame", text: "notes.png is not a picture.", anyway: false },
    { field: "prompt", text: "A prompt is needed.", anyway: false },
    { field: "cfg_scale", text: "CFG scale goes from 0 to 1.", anyway: false },
    { field: "negative_prompt", text: "At most 2500 characters.", anyway: false },
    { field: "key", text: "The key was refused.", anyway: false },
    { field: "form", text: "Out of credits. Nothing was submitted. Top up at the vendor, then press Generate again.", anyway: false },
  ]);
}

// Pictures come from the repository's samples, through the same messages as in a notebook.
model.kernel = (message) => {
  if (asked.has("busy") && message.type !== "preview") return;
  model.hear("ack", { re: message.id });
  if (message.type !== "preview") return;
  const picture = message.key.startsWith("coffee") ? coffee : message.key.startsWith("chelsea") ? chelsea : rocket;
  const { key, id: re } = message;
  void fetch(picture)
    .then((answer) => answer.arrayBuffer())
    .then((bytes) => model.hear("preview", { re, key, media_type: "image/jpeg" }, bytes));
};

const panel = document.getElementById("panel")!;
for (let views = asked.has("flex") ? 2 : 1; views > 0; views -= 1) {
  const el = document.createElement("div");
  panel.append(el);
  widget.render({ model, el });
}
Object.assign(window, { model });
