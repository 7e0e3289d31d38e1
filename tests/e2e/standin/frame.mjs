// What runs inside an output frame of the stand-in: Jupyter's own widget manager, with nothing to talk to but the page
// around it. How comms and outputs are handed over follows colab-cdn-widget-manager (src/manager.ts) and
// vscode-jupyter-ipywidgets (src/manager.ts), read in their public sources; where the two differ, `rules` says which.
import * as base from "@jupyter-widgets/base";
import { HTMLManager } from "@jupyter-widgets/html-manager/lib/htmlmanager";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const rules = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const view = rules.buffers === "DataView" ? (buffer) => new DataView(buffer) : (buffer) => new Uint8Array(buffer);
const comms = new Map();
const asked = new Map();

/** Tell the page something; resolves with its answer. */
function ask(message) {
  return new Promise((resolve) => {
    asked.set(asked.size, resolve);
    window.parent.postMessage({ ...message, ask: asked.size - 1 }, "*");
  });
}

/** What a view or a buffer holds, by itself. */
function copied(bytes) {
  return new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength).slice().buffer;
}

/**
 * One comm as the manager sees it. What arrives while the manager still loads the model's class waits for it: Colab hands
 * out an iterator over messages together with the state, JupyterLab's KernelConnection handles no message before
 * `comm_open` was handled to its end.
 */
class Comm {
  target_name = "jupyter.widget";
  #waiting = [];
  #message = (message) => this.#waiting.push(message);
  #closed = () => {};

  constructor(id) {
    this.comm_id = id;
    comms.set(id, this);
  }

  send(data, callbacks, _metadata, buffers = []) {
    const bytes = buffers.map(copied);
    // As Colab's manager does: through JSON, and "idle" once it is sent, which lets the next change of state go.
    void ask({ do: "send", comm: this.comm_id, data: JSON.parse(JSON.stringify(data)), buffers: bytes }).then(() =>
      callbacks?.iopub?.status?.({ content: { execution_state: "idle" } }),
    );
    return "";
  }

  close() {
    void ask({ do: "close", comm: this.comm_id });
  }

  on_msg(callback) {
    this.#message = callback;
    for (const message of this.#waiting.splice(0)) callback(message);
  }

  on_close(callback) {
    this.#closed = callback;
  }

  hear({ data, buffers }) {
    this.#message({ content: { comm_id: this.comm_id, data }, buffers: buffers.map(view) });
  }

  heardClose() {
    this.#closed();
  }
}

class Manager extends HTMLManager {
  /** Colab hands a model's state over when a frame wants to show it; VS Code has heard of it when it was opened. */
  async get_model(id) {
    if (rules.state === "asked" && !this.has_model(id)) {
      const { state } = await ask({ do: "state", comm: id });
      if (!this.has_model(id)) return this.new_model({ ...named(state), model_id: id, comm: new Comm(id) }, state);
    }
    return super.get_model(id);
  }
}

if (rules.resolveUrl === "fails") {
  Manager.prototype.resolveUrl = async () => {
    throw new TypeError("there is no urlResolver"); // as with VS Code's DocumentContext, which has none
  };
}

function named(state) {
  return {
    model_name: state._model_name,
    model_module: state._model_module,
    model_module_version: state._model_module_version,
  };
}

/** A module of widgets by name: anywidget's own front end, as an AMD module from outside, as real hosts load it. */
const modules = {};
function load(name) {
  modules[name] ??= new Promise((resolve, reject) => {
    globalThis.define = (_needs, factory) => resolve(factory(base));
    document.head.append(Object.assign(document.createElement("script"), { src: `/${name}.js`, onerror: reject }));
  });
  return modules[name];
}

const manager = new Manager({ loader: load });

async function render({ data, metadata }, place) {
  const widget = data[WIDGET];
  if (widget && rules.mark && !metadata[WIDGET]?.[rules.mark]) {
    place.textContent = "Support for third party widgets needs to be enabled separately."; // Colab's words
  } else if (widget) {
    await manager.display_view(manager.create_view(await manager.get_model(widget.model_id)), place);
  } else if (data["text/html"] !== undefined) {
    place.innerHTML = data["text/html"];
  } else {
    place.append(Object.assign(document.createElement("pre"), { textContent: data["text/plain"] ?? "" }));
  }
}

function area(cell) {
  const found = document.getElementById(`cell-${cell}`);
  if (found) return found;
  const made = Object.assign(document.createElement("section"), { id: `cell-${cell}` });
  document.body.append(made);
  return made;
}

const acts = {
  output({ cell, display, output }) {
    const place = document.createElement("div");
    if (display) place.dataset.display = display;
    area(cell).append(place);
    return render(output, place);
  },
  update({ display, output }) {
    return Promise.all(
      Array.from(document.querySelectorAll(`[data-display="${display}"]`), (place) => render(output, place)),
    );
  },
  opened({ comm, data, buffers }) {
    const message = { content: { comm_id: comm, data }, metadata: { version: base.PROTOCOL_VERSION }, buffers: buffers.map(view) };
    return manager.handle_comm_open(new Comm(comm), message);
  },
  message: ({ comm, ...message }) => comms.get(comm)?.hear(message),
  closed: ({ comm }) => comms.get(comm)?.heardClose(),
  answer({ ask: number, value }) {
    asked.get(number)(value);
  },
};

window.addEventListener("message", ({ source, data }) => {
  if (source === window.parent) void acts[data.do](data);
});
window.parent.postMessage({ do: "ready" }, "*");
