import type { JupyterFrontEnd } from "@jupyterlab/application";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import { Panel } from "@lumino/widgets";
import { Note, Place } from "./place";

/** The side panel: of all open notebooks, it shows the place of the one a person is in. */
export class SidePanel extends Panel {
  #places = new Map<NotebookPanel, Place>();
  #nowhere = new Note();
  /** Before JupyterLab has restored its layout, nobody has pressed anything. */
  #restored = false;
  #opening = false;

  constructor(
    private app: JupyterFrontEnd,
    private tracker: INotebookTracker,
    private options: { opensNotebooks: boolean },
  ) {
    super();
    this.id = "kling-widget";
    this.addClass("kling-side-panel");
    this.addWidget(this.#nowhere);
    tracker.currentChanged.connect(() => this.#follow());
    void app.restored.then(() => {
      this.#restored = true;
      this.#follow();
    });
    this.#follow();
  }

  /** Make a place for a notebook that was opened. */
  attend(notebook: NotebookPanel): void {
    const place = new Place(notebook, () => {
      if (this.tracker.currentWidget === notebook) this.open();
    });
    place.hide();
    this.#places.set(notebook, place);
    this.addWidget(place);
    notebook.disposed.connect(() => this.#places.delete(notebook));
    this.#follow();
  }

  /** Bring it to the front; `modelId` is a widget of the current notebook that is wanted there. */
  open(modelId: string | null = null): void {
    this.app.shell.activateById(this.id);
    if (modelId !== null) void this.#current?.look(modelId);
  }

  protected override onAfterShow(): void {
    if (this.#restored && !this.#current && this.options.opensNotebooks) void this.#openNotebook();
    else this.#follow();
  }

  get #current(): Place | undefined {
    const notebook = this.tracker.currentWidget;
    return notebook ? this.#places.get(notebook) : undefined;
  }

  #follow(): void {
    const current = this.#current;
    for (const place of this.#places.values()) if (place !== current) place.hide();
    current?.show();
    if (current) this.#nowhere.say("");
    else this.#nowhere.say("No notebook is open.", "New notebook", () => void this.#openNotebook());
    // A kernel is asked only when a person looks: who never opens the panel pays nothing for it.
    if (this.isVisible) void current?.look();
  }

  /** The widget needs a kernel, and its results a notebook. */
  async #openNotebook(): Promise<void> {
    if (this.#opening) return; // the second half of a double click
    this.#opening = true;
    this.#nowhere.say("Opening a notebook…");
    try {
      const { kernelspecs } = this.app.serviceManager;
      await kernelspecs.ready;
      await this.app.commands.execute("notebook:create-new", { kernelName: kernelspecs.specs?.default });
    } finally {
      this.#opening = false;
      this.#follow();
    }
  }
}
