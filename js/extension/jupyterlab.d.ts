// The few things we use of JupyterLab 4 and Notebook 7, as they declare them: their own packages would bring all of
// JupyterLab along, and none of it is bundled, for the running application shares it.

declare module "@lumino/signaling" {
  export interface ISignal<Sender, Args> {
    connect(slot: (sender: Sender, args: Args) => void): boolean;
  }
}

declare module "@lumino/widgets" {
  import type { ISignal } from "@lumino/signaling";

  export class Widget {
    constructor(options?: { node?: HTMLElement });
    id: string;
    readonly node: HTMLElement;
    readonly title: { icon: unknown; caption: string; label: string };
    readonly isVisible: boolean;
    readonly disposed: ISignal<this, void>;
    addClass(name: string): void;
    show(): void;
    hide(): void;
    dispose(): void;
    protected onAfterShow(message: unknown): void;
  }

  export class Panel extends Widget {
    addWidget(widget: Widget): void;
  }
}

declare module "@jupyterlab/rendermime" {
  import type { Widget } from "@lumino/widgets";

  export interface IMimeModel {
    readonly data: Record<string, unknown>;
  }
  export interface IRenderer extends Widget {
    renderModel(model: IMimeModel): Promise<void>;
  }
  export interface IRenderMimeRegistry {
    addFactory(
      factory: { safe: boolean; mimeTypes: string[]; createRenderer: (options: unknown) => IRenderer },
      rank: number,
    ): void;
    getFactory(mimeType: string): object | undefined;
    createRenderer(mimeType: string): IRenderer;
  }
  export class MimeModel implements IMimeModel {
    constructor(options: { data: Record<string, unknown>; trusted: boolean });
    readonly data: Record<string, unknown>;
  }
}

declare module "@jupyterlab/notebook" {
  import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";
  import type { ISignal } from "@lumino/signaling";
  import type { Widget } from "@lumino/widgets";

  export interface Reply {
    content: { status: string; user_expressions?: Record<string, Value> };
  }
  /** What one of `user_expressions` came to. */
  export interface Value {
    status: string;
    data?: Record<string, unknown>;
    ename?: string;
    evalue?: string;
  }
  export interface IKernelConnection {
    readonly info: Promise<{ language_info: { name: string } }>;
    requestExecute(content: {
      code: string;
      silent: boolean;
      store_history: boolean;
      stop_on_error: boolean;
      user_expressions: Record<string, string>;
    }): { readonly msg: { header: { msg_id: string } }; readonly done: Promise<Reply | undefined> };
  }
  export interface IIOPubMessage {
    header: { msg_type: string };
    parent_header: { msg_type?: string; msg_id?: string };
    content: { data?: Record<string, unknown>; execution_state?: string; comm_id?: string };
  }
  export interface ISessionContext {
    readonly ready: Promise<void>;
    readonly session: { readonly kernel: IKernelConnection | null } | null;
    readonly kernelDisplayStatus: string;
    readonly kernelChanged: ISignal<ISessionContext, unknown>;
    readonly statusChanged: ISignal<ISessionContext, string>;
    readonly iopubMessage: ISignal<ISessionContext, IIOPubMessage>;
  }
  export interface Notebook extends Widget {
    readonly rendermime: IRenderMimeRegistry;
    readonly activeCell: {
      readonly model: { readonly type: string; readonly sharedModel: { source: string; setSource(text: string): void } };
    } | null;
  }
  export interface NotebookPanel extends Widget {
    readonly content: Notebook;
    readonly sessionContext: ISessionContext;
  }
  export interface INotebookTracker {
    readonly currentWidget: NotebookPanel | null;
    readonly currentChanged: ISignal<INotebookTracker, NotebookPanel | null>;
    readonly widgetAdded: ISignal<INotebookTracker, NotebookPanel>;
    forEach(act: (panel: NotebookPanel) => void): void;
  }
  export const INotebookTracker: object | undefined;
  export const NotebookActions: {
    insertBelow(notebook: Notebook): void;
    run(notebook: Notebook, session: ISessionContext): Promise<boolean>;
  };
}

declare module "@jupyterlab/application" {
  import type { Widget } from "@lumino/widgets";

  export interface JupyterFrontEnd {
    readonly restored: Promise<void>;
    readonly commands: {
      addCommand(id: string, options: { label: string; caption: string; icon: unknown; execute: () => unknown }): void;
      execute(id: string, args?: Record<string, unknown>): Promise<unknown>;
    };
    readonly serviceManager: {
      readonly kernelspecs: { readonly ready: Promise<void>; readonly specs: { default: string } | null };
    };
    readonly shell: {
      add(widget: Widget, area: "right", options: { rank: number }): void;
      activateById(id: string): void;
    };
  }
  export interface ILayoutRestorer {
    add(widget: Widget, name: string): void;
  }
  export const ILayoutRestorer: object | undefined;
  export const ILabShell: object | undefined;
}

declare module "@jupyterlab/apputils" {
  export interface ICommandPalette {
    addItem(item: { command: string; category: string }): void;
  }
  export const ICommandPalette: object | undefined;
}

declare module "@jupyterlab/launcher" {
  export interface ILauncher {
    add(item: { command: string; category: string; rank: number }): void;
  }
  export const ILauncher: object | undefined;
}

declare module "@jupyterlab/ui-components" {
  export class LabIcon {
    constructor(options: { name: string; svgstr: string });
  }
}

declare module "*.svg" {
  const text: string;
  export default text;
}

declare module "*.css" {
  const text: string;
  export default text;
}
