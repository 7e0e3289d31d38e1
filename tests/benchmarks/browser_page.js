// The stopwatch of the browser benchmarks. It starts in the page, right before a cell is told to run, and stops in the
// page, when what was waited for has been painted: Python hears no more than the result.
window.stopwatch = {
  // Nothing of the round before stands in the notebook, whose only cell is empty.
  async clear({ path }) {
    const [cell] = window.lab.panel(path).content.widgets;
    cell.model.outputs.clear();
    cell.model.sharedModel.setSource("");
    await this.painted();
  },

  // Two frames: what is in the document before the first has been painted when the second begins.
  painted() {
    return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  },

  // Resolves as soon as `found()` gives something, asked at each change below a node.
  appears(node, found) {
    return new Promise((resolve) => {
      const look = () => {
        const what = found();
        if (!what) return;
        observer.disconnect();
        resolve(what);
      };
      const observer = new MutationObserver(look);
      observer.observe(node, { subtree: true, childList: true, characterData: true, attributes: true });
      look();
    });
  },

  // Milliseconds from "run this cell" until `found(output)` gives something and `shown` of that has come true.
  async run({ path, code }, found, shown) {
    const { content, node } = window.lab.panel(path);
    const [cell] = content.widgets;
    cell.model.sharedModel.setSource(code);
    content.activeCellIndex = 0;
    await this.painted();
    const began = performance.now();
    void window.jupyterapp.commands.execute("notebook:run-cell");
    await shown(await this.appears(node, () => found(cell.outputArea.node)));
    return performance.now() - began;
  },

  // … until an element has a size and says `text`, and that is painted.
  widget({ selector, text, ...cell }) {
    const found = (output) => {
      const root = output.querySelector(selector);
      return root?.offsetHeight && root.textContent.includes(text);
    };
    return this.run(cell, found, () => this.painted());
  },

  // … until a video has handed its first frame to the screen.
  frame(cell) {
    const shown = (video) => new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    return this.run(cell, (output) => output.querySelector("video"), shown);
  },

  // Unix milliseconds, as the kernel's clock tells them, at which a file was last chosen.
  chosen: null,

  now() {
    return performance.timeOrigin + performance.now();
  },

  // Presses a button in a notebook's output and resolves when `selector` says `text`.
  press({ path, button, selector, text }) {
    const { node } = window.lab.panel(path);
    const said = this.appears(node, () => node.querySelector(selector)?.textContent === text);
    [...node.querySelectorAll("button")].find((each) => each.textContent === button).click();
    return said;
  },

  // Resolves when the bar of an upload that has begun is gone.
  async uploaded({ path, selector }) {
    const { node } = window.lab.panel(path);
    await this.appears(node, () => node.querySelector(selector));
    await this.appears(node, () => !node.querySelector(selector));
  },

  // What becomes of a file that a widget sends whole: its kernel has it and says so in `selector`, or the connection
  // to the kernel breaks.
  fate({ path, selector, text }) {
    const panel = window.lab.panel(path);
    const { kernel } = panel.sessionContext.session;
    const arrives = this.appears(panel.node, () => panel.node.querySelector(selector)?.textContent.includes(text));
    const breaks = new Promise((resolve) => {
      kernel.connectionStatusChanged.connect((_, status) => status !== "connected" && resolve());
    });
    return Promise.race([arrives.then(() => "arrived"), breaks.then(() => "broke")]);
  },

  // Resolves when the page has its kernel back.
  connected({ path }) {
    const { kernel } = window.lab.panel(path).sessionContext.session;
    return new Promise((resolve) => {
      const look = () => kernel.connectionStatus === "connected" && resolve();
      kernel.connectionStatusChanged.connect(look);
      look();
    });
  },
};

document.addEventListener(
  "change",
  ({ target }) => {
    if (target.type === "file") window.stopwatch.chosen = window.stopwatch.now();
  },
  true,
);
