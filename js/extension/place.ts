import { type IIOPubMessage, NotebookActions, type NotebookPanel } from "@jupyterlab/notebook";
import { MimeModel } from "@jupyterlab/rendermime";
import { Panel, Widget } from "@lumino/widgets";
import { Problem, widgetOf } from "./kernel";
import { MIME } from "./line";

const VIEW = "application/vnd.jupyter.widget-view+json";

/** Milliseconds after which a person is told what they are waiting for, as in the widget itself. */
const QUIET = 500;

/** What the side panel shows for one notebook: the widget of its kernel, or a sentence. Goes when the notebook goes. */
export class Place extends Panel {
  #modelId: string | null = null;
  #view: Widget | null = null;
  #note = new Note();
  /** Counts what was asked for, so that a late answer to an old question is dropped. */
  #turn = 0;
  /** Whether an answer is awaited: what is asked behind a running cell need be asked once only. */
  #asking = false;
  #restarting = false;
  /** Ids of the request that the kernel runs, as far as we heard, and of ours. */
  #running: string | null = null;
  #asked: string | null = null;

  /**
   * @param wanted - Called when a cell of this notebook has put a widget into the panel.
   */
  constructor(
    readonly notebook: NotebookPanel,
    wanted: () => void,
  ) {
    super();
    this.addWidget(this.#note);
    notebook.disposed.connect(() => this.dispose());
    const session = notebook.sessionContext;
    session.iopubMessage.connect((_, message) => {
      this.#hearStatus(message);
      const modelId = placed(message);
      if (modelId) {
        this.#show(modelId);
        wanted();
      } else if (message.header.msg_type === "comm_close" && message.content.comm_id === this.#modelId) {
        this.#again(); // `w.close()`: a widget's model id is its comm's
      }
    });
    session.kernelChanged.connect(() => {
      this.#running = null;
      this.#again();
    });
    session.statusChanged.connect((_, status) => {
      if (status === "restarting" || status === "autorestarting") {
        this.#restarting = true;
        this.#running = null;
        this.#clear();
        this.#note.say("The kernel is restarting…");
      } else if (this.#restarting && status === "idle") {
        this.#restarting = false;
        this.#again();
      }
    });
    this.node.addEventListener("kling-widget:insert", (event) => {
      event.preventDefault(); // so that it is not copied as well
      void this.#insert((event as CustomEvent<string>).detail);
    });
  }

  /** Show the kernel's widget, unless it is there already; `modelId` is one that is wanted in its place. */
  async look(modelId: string | null = null): Promise<void> {
    if (modelId === null ? this.#view || this.#asking : this.#view && modelId === this.#modelId) return;
    const turn = ++this.#turn;
    this.#asking = true;
    const timer = setTimeout(() => this.#tellWaiting(turn), QUIET);
    try {
      const found = await widgetOf(this.notebook.sessionContext, modelId, (id) => (this.#asked = id));
      if (turn === this.#turn) this.#show(found);
    } catch (problem) {
      if (turn !== this.#turn || this.#restarting) return; // a question that a restart cut off is asked again after it
      if (!(problem instanceof Problem)) throw problem;
      this.#clear();
      this.#note.say(problem.message, "Try again", () => void this.look());
    } finally {
      clearTimeout(timer);
      if (turn === this.#turn) this.#asking = false;
    }
  }

  #tellWaiting(turn: number): void {
    if (turn !== this.#turn || this.#view) return;
    const before = this.notebook.sessionContext.kernelDisplayStatus === "busy" ? "begun before this page" : null;
    const running = this.#running ?? before;
    const behind = running !== null && running !== this.#asked;
    this.#note.say(behind ? "Waiting for the running cell…" : "Waiting for the kernel…");
  }

  /** Not the kernel's own status: in ipykernel 7 a message that is heard while a cell runs ends with "idle". */
  #hearStatus({ header, parent_header: parent, content }: IIOPubMessage): void {
    if (header.msg_type !== "status" || parent.msg_type !== "execute_request") return;
    if (content.execution_state === "busy") this.#running = parent.msg_id ?? null;
    else if (parent.msg_id === this.#running) this.#running = null;
  }

  /** Another kernel, the same one anew, or a widget that was closed. */
  #again(): void {
    this.#clear();
    if (this.isVisible) void this.look();
  }

  #clear(): void {
    this.#turn++;
    this.#asking = false;
    this.#view?.dispose();
    this.#view = this.#modelId = null;
    this.#note.say("");
  }

  /** By the notebook's own renderer, which knows the notebook's widgets: views share one model, wherever they are. */
  #show(modelId: string): void {
    if (this.#view && modelId === this.#modelId) return;
    this.#clear();
    const { rendermime } = this.notebook.content;
    if (!rendermime.getFactory(VIEW)) {
      this.#note.say("Jupyter widgets are not enabled here: install jupyterlab_widgets beside JupyterLab.");
      return;
    }
    const view = rendermime.createRenderer(VIEW);
    this.#view = view;
    this.#modelId = modelId;
    void view.renderModel(new MimeModel({ data: { [VIEW]: { model_id: modelId } }, trusted: true }));
    this.addWidget(view);
  }

  /** A result and its Python into the notebook: into the active cell if that is empty, else below it. */
  async #insert(source: string): Promise<void> {
    const { content, sessionContext } = this.notebook;
    const active = content.activeCell?.model;
    if (active?.type !== "code" || active.sharedModel.source.trim()) NotebookActions.insertBelow(content);
    content.activeCell!.model.sharedModel.setSource(source);
    await NotebookActions.run(content, sessionContext);
  }
}

/** The widget that a cell has just put into the panel, if that is what this message says. */
function placed({ header, content }: IIOPubMessage): string | undefined {
  if (header.msg_type !== "display_data") return undefined;
  return (content.data?.[MIME] as { model_id?: string } | undefined)?.model_id;
}

/** A sentence, and perhaps a button. */
export class Note extends Widget {
  constructor() {
    super();
    this.addClass("kling-side-note");
    this.node.setAttribute("role", "status");
  }

  say(text: string, label = "", act: () => void = () => {}): void {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.onclick = act;
    this.node.replaceChildren(...(text ? [paragraph] : []), ...(label ? [button] : []));
  }
}
