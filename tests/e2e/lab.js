// What the browser tests ask of JupyterLab from inside the page, under one name. `jupyterapp` is there because the
// server runs with `expose_app_in_browser`.
window.lab = {
  panel(path) {
    for (const widget of window.jupyterapp.shell.widgets("main")) {
      if (widget.context?.path === path) return widget;
    }
    throw new Error(`${path} is not open`);
  },

  async ready() {
    await window.jupyterapp.restored;
    // Later notebooks open beside nothing: no launcher tab, no leftovers, and the file browser takes no room.
    await window.jupyterapp.commands.execute("application:close-all");
    window.jupyterapp.shell.collapseLeft();
  },

  async open({ path, kernel }) {
    const { commands, shell } = window.jupyterapp;
    const preference = kernel ? { name: kernel } : { shouldStart: false, canStart: false, autoStartDefault: false };
    const panel = await commands.execute("docmanager:open", {
      path, factory: "Notebook", kernelPreference: preference,
    });
    await panel.context.ready;
    await panel.revealed;
    shell.activateById(panel.id);
    await panel.sessionContext.ready;
    if (kernel) await panel.sessionContext.session.kernel.info;
  },

  // The command's promise is kept, not awaited, so that a test can go on while cells run.
  runs: new Map(),

  run({ path, cell }) {
    const { commands, shell } = window.jupyterapp;
    const panel = this.panel(path);
    shell.activateById(panel.id);
    if (cell !== null) {
      panel.content.activeCellIndex = cell;
      panel.content.deselectAll();
    }
    const id = `${path}:${this.runs.size}`;
    const run = { done: false, problem: null };
    this.runs.set(id, run);
    commands.execute(cell === null ? "notebook:run-all-cells" : "notebook:run-cell").then(
      () => { run.done = true; },
      (problem) => { run.done = true; run.problem = String(problem); },
    );
    return id;
  },

  finished(id) {
    const { done, problem } = this.runs.get(id);
    return done && { problem };
  },

  cellError({ path, cell }) {
    const outputs = this.panel(path).content.widgets[cell].model.sharedModel.toJSON().outputs ?? [];
    const error = outputs.find((output) => output.output_type === "error");
    return error ? `${error.ename}: ${error.evalue}\n${error.traceback.join("\n")}` : null;
  },

  // Silent: no entry in the history, no prompt number, nothing in the notebook.
  async evaluate({ path, code, expression }) {
    const kernel = this.panel(path).sessionContext.session.kernel;
    const future = kernel.requestExecute({
      code, silent: true, store_history: false, stop_on_error: false, user_expressions: { value: expression },
    });
    const { content } = await future.done;
    return content.status === "ok" ? content.user_expressions.value : content;
  },

  async save(path) {
    const { context } = this.panel(path);
    await context.save();
  },

  interrupt(path) { return this.panel(path).sessionContext.session.kernel.interrupt(); },

  async restart(path) {
    const { sessionContext } = this.panel(path);
    await sessionContext.restartKernel();
    await sessionContext.session.kernel.info;
  },

  shutdown(path) { return this.panel(path).sessionContext.shutdown(); },

  async close(path) {
    const panel = this.panel(path);
    await panel.sessionContext.shutdown();
    panel.dispose();
  },

  status(path) { return this.panel(path).sessionContext.session?.kernel?.status ?? "none"; },

  async theme(name) {
    await window.jupyterapp.commands.execute("apputils:change-theme", { theme: name });
  },
};
